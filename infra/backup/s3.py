"""Backups in a bucket of S3. An edge.

The dump is made and proven on this machine, then sent in parts whose SHA-256 S3 checks as they arrive, encrypted there,
and its checksum is compared once more; the manifest comes last and makes it a backup. What a killed run had sent is no
object, or one without a manifest, which the next backup of the product removes.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import aws, aws_errors
from infra.aws import Access
from infra.backup.errors import NOTHING_LEFT, StoreError
from infra.backup.manifest import Manifest, parse
from infra.backup.store import DUMP, MANIFEST, S3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 << 20
PARTS = 9_000
"""Fewer than the 10,000 that S3 takes: larger dumps go in larger parts."""
UNTOUCHED = "Nothing was changed."


class S3Store:
    """A bucket of backups, or a part of one.

    Args:
        where: `s3://bucket/prefix`.
        access: How AWS is reached.
    """

    def __init__(self, where: str, access: Access) -> None:
        self._bucket, self._prefix = split(where)
        self._access = access

    def check(self) -> None:
        """Pass where the bucket can be written to: an upload is begun and called off, so that nothing is left."""
        with self._explained(f"backups cannot be written to s3://{self._bucket}"):
            key = f"{self._prefix}{DUMP}"
            begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=key)
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=begun["UploadId"])

    @contextlib.contextmanager
    def begin(self, *, stack: str, product: str, name: str) -> Iterator[S3Draft]:
        """Give a draft on this machine; dumps that killed runs left without a manifest are removed."""
        parent = self._parent(stack, product)
        with self._explained(f"s3://{self._bucket}/{parent} cannot be cleared of what a killed run left"):
            keys = self._keys(parent)
            whole = {key.removesuffix(MANIFEST) for key in keys if key.endswith(f"/{MANIFEST}")}
            for key in keys:
                if key.endswith(f"/{DUMP}") and key.removesuffix(DUMP) not in whole:
                    self._client.delete_object(Bucket=self._bucket, Key=key)
        with tempfile.TemporaryDirectory(prefix="chatdb-backup-") as folder:
            try:
                yield S3Draft(self, Path(folder) / DUMP, f"{parent}{name}/")
            except OSError as error:
                raise StoreError(
                    f"the backup cannot be written to {folder}, from where it would be sent",
                    detail=error.strerror or str(error),
                    hint="Free space there, or name another folder in TMPDIR.",
                    state=NOTHING_LEFT,
                ) from None

    def manifests(self, *, stack: str, product: str) -> Iterator[Manifest]:
        """Yield the manifests of a product's backups, the newest first."""
        with self._explained(f"the backups in s3://{self._bucket} cannot be listed"):
            keys = [key for key in self._keys(self._parent(stack, product)) if key.endswith(f"/{MANIFEST}")]
        for key in sorted(keys, reverse=True):
            yield S3Backup(f"{S3}{self._bucket}/{key.removesuffix(f'/{MANIFEST}')}", self._access).manifest

    def place(self, manifest: Manifest) -> str:
        """Return where a backup lies."""
        return f"{S3}{self._bucket}/{self._parent(manifest.stack, manifest.product)}{manifest.name}"

    def send(self, file: Path, prefix: str, manifest: Manifest) -> None:
        """Send a proven dump and its manifest.

        Raises:
            AwsError, StoreError: it cannot be sent, or is not there as it was sent; nothing of it is left.
        """
        key = f"{prefix}{DUMP}"
        with self._explained(f"the backup cannot be sent to s3://{self._bucket}/{key}", NOTHING_LEFT):
            try:
                self._send_dump(file, key)
                text = manifest.text().encode()
                extra = self._encryption()
                self._client.put_object(Bucket=self._bucket, Key=f"{prefix}{MANIFEST}", Body=text, **extra)
            except BaseException:
                # What ended this may keep from removing it too: without a manifest the next backup does.
                with contextlib.suppress(Exception):
                    self._client.delete_object(Bucket=self._bucket, Key=key)
                raise

    def _send_dump(self, file: Path, key: str) -> None:
        from boto3.s3.transfer import S3Transfer, TransferConfig

        size = file.stat().st_size
        part = max(PART_BYTES, -(-size // PARTS))
        config = TransferConfig(multipart_threshold=part, multipart_chunksize=part)
        extra = {"ChecksumAlgorithm": "SHA256", **self._encryption()}
        sending = S3Transfer(self._client, config)  # type: ignore[arg-type]  # its stub takes another class
        sending.upload_file(str(file), self._bucket, key, extra_args=extra)
        found = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        expected = checksum(file, part)
        stored = str(found.get("ChecksumSHA256", "")).partition("-")[0]
        if (found["ContentLength"], stored) != (size, expected):
            raise StoreError(
                f"s3://{self._bucket}/{key} is not what was sent",
                detail=f"{found['ContentLength']} bytes with checksum {stored or 'none'}, sent {size} with {expected}",
                hint="Run the same command again; look whether something between here and S3 changes what passes.",
                state=NOTHING_LEFT,
            )
        if not found.get("ServerSideEncryption"):
            raise StoreError(
                f"s3://{self._bucket}/{key} is not encrypted",
                detail="S3 names no server-side encryption of the object",
                hint="Turn on the bucket's default encryption, then run the same command again.",
                state=NOTHING_LEFT,
            )

    def _encryption(self) -> dict[str, Any]:
        """Return what asks for encryption with S3's own key; nothing where the bucket has a key of its own."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_bucket_encryption(Bucket=self._bucket)
        except ClientError:  # it has none of its own, or who writes backups may not look
            return {"ServerSideEncryption": "AES256"}
        rules = found["ServerSideEncryptionConfiguration"]["Rules"]
        by = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
        return {} if str(by.get("SSEAlgorithm", "")).startswith("aws:kms") else {"ServerSideEncryption": "AES256"}

    def _keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _parent(self, stack: str, product: str) -> str:
        return f"{self._prefix}{stack or 'without-a-stack'}/{product}/"

    @property
    def _client(self) -> S3Client:
        return aws.client("s3", self._access)

    def _explained(self, what: str, state: str = UNTOUCHED) -> contextlib.AbstractContextManager[None]:
        return aws_errors.explained(what, self._access.described, state=state)


class S3Draft:
    """A draft on this machine."""

    def __init__(self, store: S3Store, file: Path, prefix: str) -> None:
        self.file = file
        self._store = store
        self._prefix = prefix

    def publish(self, manifest: Manifest) -> str:
        """Send it."""
        self._store.send(self.file, self._prefix, manifest)
        return self._store.place(manifest)


class S3Backup:
    """One backup in a bucket.

    Attributes:
        manifest: What is known of it.
        place: Where it lies.
    """

    def __init__(self, where: str, access: Access) -> None:
        self.place = where
        self._access = access
        self._bucket, self._prefix = split(where)
        with aws_errors.explained(f"the backup {where} cannot be read", access.described):
            client = aws.client("s3", access)
            text = client.get_object(Bucket=self._bucket, Key=f"{self._prefix}{MANIFEST}")["Body"].read()
        self.manifest = parse(text.decode(errors="replace"), place=where)

    @contextlib.contextmanager
    def fetched(self) -> Iterator[Path]:
        """Fetch its dump; the file goes with the block."""
        from boto3.s3.transfer import S3Transfer

        with tempfile.TemporaryDirectory(prefix="chatdb-restore-") as folder:
            file = Path(folder) / DUMP
            with aws_errors.explained(f"the backup {self.place} cannot be fetched", self._access.described):
                S3Transfer(aws.client("s3", self._access)).download_file(
                    self._bucket, f"{self._prefix}{DUMP}", str(file)
                )
            yield file


def split(where: str) -> tuple[str, str]:
    """Return bucket and prefix of `s3://bucket/prefix`; a prefix ends with a slash.

    Raises:
        StoreError: it names no bucket.
    """
    bucket, _, prefix = where.removeprefix(S3).partition("/")
    if not bucket:
        raise StoreError(
            f"{where!r} names no bucket",
            detail="the form is s3://bucket/prefix",
            hint="Name one, as s3://chatdb-backups/prod.",
            state=UNTOUCHED,
        )
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def checksum(file: Path, part_bytes: int) -> str:
    """Return what S3 gives as the SHA-256 of a file that was sent so: in parts, that over the parts' own; base64."""
    size = file.stat().st_size
    digests: list[bytes] = []
    with file.open("rb") as opened:
        while len(digests) < max(1, -(-size // part_bytes)):
            digests.append(hashlib.sha256(opened.read(part_bytes)).digest())
    whole = digests[0] if size < part_bytes else hashlib.sha256(b"".join(digests)).digest()
    return base64.b64encode(whole).decode()
