"""Encrypt and decrypt as Pulumi's passphrase provider does, and find the passphrase. Called by `state`, `config`.

Source: pkg/secrets/passphrase and sdk/go/common/resource/config/crypt.go of Pulumi: PBKDF2-HMAC-SHA256 over 1,000,000
rounds, AES-256-GCM, `v1:nonce:ciphertext` in base64; the salt carries the encrypted word "pulumi" as its check.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import secrets as random
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from embedded.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, unwrap
from infra.errors import ChatdbError

ROUNDS = 1_000_000
NONCE_BYTES = 12
SALT_BYTES = 8


@functools.lru_cache(maxsize=32)
def _key(passphrase: str, salt: bytes) -> Future[bytes]:
    """Derive the key in a thread: it takes half a second, in which the program is imported."""
    future: Future[bytes] = Future()

    def derive() -> None:
        future.set_result(hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, 32))

    Thread(target=derive, daemon=True).start()
    return future


class Vault:
    """The secrets of one stack.

    Attributes:
        salt: `v1:salt:check`, as `encryptionsalt` in the stack file and in the state's `secrets_providers`.
    """

    def __init__(self, passphrase: str, salt: str = "") -> None:
        self._new = not salt
        self.salt = salt or f"v1:{base64.b64encode(random.token_bytes(SALT_BYTES)).decode()}:"
        self._future = _key(passphrase, base64.b64decode(self.salt.split(":")[1]))
        # Unchanged secrets keep their ciphertext, so that a state differs only where something changed.
        self._kept: dict[tuple[str, str], str] = {}
        if self._new:
            self.salt += self.encrypt("pulumi")

    @functools.cached_property
    def _cipher(self) -> Any:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        cipher = AESGCM(self._future.result())
        if not self._new:
            nonce, sealed = (base64.b64decode(part) for part in self.salt.split(":")[3:])
            try:
                cipher.decrypt(nonce, sealed, None)
            except InvalidTag:
                raise ChatdbError(
                    "the passphrase is not the one this stack's secrets were encrypted with",
                    detail="the check in the stack's salt does not decrypt",
                    hint="Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the stack's passphrase.",
                    state="Nothing was changed.",
                ) from None
        return cipher

    def encrypt(self, text: str) -> str:
        """Return `v1:nonce:ciphertext`."""
        nonce = random.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, text: str) -> str:
        """Return the plain text of `v1:nonce:ciphertext`.

        Raises:
            ChatdbError: It was not encrypted with this passphrase and salt.
        """
        cipher = self._cipher
        try:
            _, nonce, sealed = text.split(":")
            return str(cipher.decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode())
        except Exception as error:  # InvalidTag, or not of this form
            raise ChatdbError(
                "a secret cannot be decrypted",
                detail=f"it was encrypted with another salt, or damaged ({type(error).__name__})",
                hint="Set it again with `--secret`, or restore the stack file or state it came from.",
                state="Nothing was changed.",
            ) from None

    def encode(self, value: Any, place: str, *, show: bool = False) -> Any:
        """Return the value as the state holds it.

        Args:
            value: A property value.
            place: Where it stands, so that an unchanged secret there keeps its ciphertext.
            show: Write secrets in plain, as `pulumi stack export --show-secrets` does.
        """
        if isinstance(value, Secret):
            text = json.dumps(unwrap(value.value), separators=(",", ":"), ensure_ascii=False)
            if show:
                return {SIGNATURE: SECRET_SIGNATURE, "plaintext": text}
            if (place, text) not in self._kept:
                self._kept[place, text] = self.encrypt(text)
            return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": self._kept[place, text]}
        if isinstance(value, Mapping):
            return {key: self.encode(item, f"{place}/{key}", show=show) for key, item in value.items()}
        if isinstance(value, list):
            return [self.encode(item, f"{place}/{i}", show=show) for i, item in enumerate(value)]
        return value

    def decode(self, value: Any, place: str) -> Any:
        """Return the property value that stands in a state."""
        if isinstance(value, dict):
            if value.get(SIGNATURE) == SECRET_SIGNATURE:
                text = value["plaintext"] if "plaintext" in value else self.decrypt(value["ciphertext"])
                if "ciphertext" in value:
                    self._kept[place, text] = value["ciphertext"]
                return Secret(json.loads(text))
            return {key: self.decode(item, f"{place}/{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self.decode(item, f"{place}/{i}") for i, item in enumerate(value)]
        return value


def find_passphrase(folder: Path, *, stack: str, create: bool) -> str:
    """Return the stack's passphrase.

    Args:
        folder: The stack's own folder, for the generated passphrase.
        stack: Its name, for the error.
        create: Generate one where there is none; false where secrets exist that it could not decrypt.

    Raises:
        ChatdbError: There is none and it may not be generated.
    """
    if "PULUMI_CONFIG_PASSPHRASE" in os.environ:
        return os.environ["PULUMI_CONFIG_PASSPHRASE"]
    named = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    file = Path(named) if named else folder / "passphrase"
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8").strip()
    if named or not create:
        raise ChatdbError(
            f"the passphrase of stack {stack} is not known",
            detail=f"PULUMI_CONFIG_PASSPHRASE is not set and {file} does not exist, but the stack has secrets",
            hint="Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE.",
            state="Nothing was changed.",
        )
    phrase = random.token_urlsafe(24)
    folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        output.write(phrase + "\n")
        output.flush()
        os.fsync(output.fileno())
    return phrase
