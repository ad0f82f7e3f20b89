"""`chatdb backup` and `chatdb restore`: to a folder and to S3, by a connection string, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.access import connection_string
from embedded.server import ServerFile
from infra import aws
from infra.connection import Target, connect
from tests.cli.conftest import Shell
from tests.support.aws import Aws, refusing_s3
from tests.support.backups import fill, left
from tests.support.postgres import drop_database, product_database, unique

BACKUP = ("backup", "--product", "futureguide")


@pytest.fixture(scope="module")
def filled(server: ServerFile) -> Iterator[Target]:
    """Futureguide with rows, as the superuser."""
    with product_database(server, "futureguide") as target:
        fill(target)
        yield target.to(role="")


@pytest.fixture(scope="module")
def bucket(cloud: Aws, server: ServerFile) -> str:
    """A bucket, named after nothing else."""
    name = unique("backups").replace("_", "-")
    with pytest.MonkeyPatch.context() as patched:
        for key, value in cloud.variables.items():
            patched.setenv(key, value) if value else patched.delenv(key, raising=False)
        aws.client("s3", cloud.access).create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    return name


def variables(cloud: Aws) -> dict[str, str]:
    return {key: value for key, value in cloud.variables.items() if value}


def test_a_backup_to_s3_is_encrypted_checked_and_restored(
    filled: Target, shell: Shell, cloud: Aws, bucket: str, server: ServerFile
) -> None:
    """The manifest lies beside it; the password is in nothing that is said."""
    done = shell.run(filled, *BACKUP, "--to", f"s3://{bucket}/some/prefix", "--json", **variables(cloud))
    assert done.returncode == 0, done.stderr
    (taken,) = json.loads(done.stdout)
    assert taken["backup"] == f"s3://{bucket}/some/prefix/without-a-stack/futureguide/{taken['name']}"
    assert filled.password not in done.stdout + done.stderr
    name = unique("from_s3")
    try:
        restored = json.loads(
            shell.done(
                filled,
                *("restore", "--product", "futureguide", "--from", taken["backup"], "--into", name, "--json"),
                **variables(cloud),
            )
        )
        assert restored["rows"] == taken["rows"]
        shell.done(None, "verify", "--product", "futureguide", "--url", connection_string(filled.to(database=name)))
    finally:
        drop_database(server, name)


REFUSED = {
    "no such bucket": ("s3://there-is-no-such-bucket/x", "backups cannot be written to s3://there-is-no-such-bucket"),
    "no bucket": ("s3://", "'s3://' names no bucket"),
    "no place": ("ftp://host/x", "'ftp://host/x' is no place for backups"),
    "no folder": ("/dev/null/x", "backups cannot be written to /dev/null/x"),
}


@pytest.mark.parametrize(("place", "message"), REFUSED.values(), ids=REFUSED)
def test_a_place_that_cannot_be_written_to_is_said_first(
    filled: Target, shell: Shell, cloud: Aws, place: str, message: str
) -> None:
    """Before anything is dumped; exit status 1, three parts."""
    done = shell.run(filled, *BACKUP, "--to", place, **variables(cloud))
    assert done.returncode == 1
    assert done.stderr.startswith(message), done.stderr
    assert "HINT: " in done.stderr
    assert "Traceback" not in done.stderr


STOPPED = {
    "not allowed": ("AccessDenied", 403, "", "backups cannot be written to", "in the IAM policy"),
    "token expired before": ("ExpiredToken", 400, "", "backups cannot be written to", "Log in to AWS again"),
    "not allowed to send": ("AccessDenied", 403, "PUT .dump", "the backup cannot be sent to", "in the IAM policy"),
    "token expired on the way": (
        "ExpiredToken",
        400,
        "PUT .json",
        "the backup cannot be sent to",
        "Log in to AWS again",
    ),
}


@pytest.mark.parametrize(("code", "status", "at", "message", "hint"), STOPPED.values(), ids=STOPPED)
def test_what_s3_refuses_is_no_backup_and_the_next_one_clears_it(
    filled: Target, shell: Shell, cloud: Aws, bucket: str, code: str, status: int, at: str, message: str, hint: str
) -> None:
    """From the first request on, or in the middle of sending: three parts, the code, no manifest, nothing secret."""
    where = f"s3://{bucket}/{unique('refused')}"
    behind = cloud.endpoint if at else ""
    with refusing_s3(code, status, behind=behind, at=at) as endpoint:
        done = shell.run(filled, *BACKUP, "--to", where, **{**variables(cloud), "AWS_ENDPOINT_URL": endpoint})
    assert done.returncode == 1
    lines = done.stderr.splitlines()[-4:]
    assert lines[0].startswith(message), done.stderr
    assert [line.partition(": ")[0] for line in lines[1:]] == ["DETAIL", "HINT", "STATE"]
    assert (code in lines[1], hint in lines[2]) == (True, True), done.stderr
    assert not [secret for secret in (filled.password, "secret-key") if secret in done.stdout + done.stderr]
    assert [key for key in keys(bucket, where, cloud) if key.endswith("manifest.json")] == []
    if at:
        shell.done(filled, *BACKUP, "--to", where, **variables(cloud))
        assert [key.rpartition("/")[2] for key in keys(bucket, where, cloud)] == ["database.dump", "manifest.json"]


def keys(bucket: str, where: str, cloud: Aws) -> list[str]:
    """Return what lies in a part of the bucket."""
    with pytest.MonkeyPatch.context() as patched:
        cloud.enter(patched)
        found = aws.client("s3", cloud.access).list_objects_v2(
            Bucket=bucket, Prefix=where.removeprefix(f"s3://{bucket}/")
        )
    return [item["Key"] for item in found.get("Contents", [])]


def test_an_endpoint_that_is_not_reached_is_said_first(filled: Target, shell: Shell, cloud: Aws) -> None:
    """With what to check; nothing is dumped."""
    there = {**variables(cloud), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = shell.run(filled, *BACKUP, "--to", "s3://backups", **there)
    assert (done.returncode, "dumping" in done.stderr) == (1, False)
    assert done.stderr.startswith("backups cannot be written to s3://backups\n")
    assert "HINT: Check the network, the region and the endpoint" in done.stderr


def test_without_a_place_there_is_no_backup(filled: Target, shell: Shell) -> None:
    """--to and backupTo are named."""
    done = shell.run(filled, *BACKUP)
    assert done.returncode == 1
    assert "HINT: Give --to FOLDER or --to s3://bucket/prefix, or set chatdb:backupTo." in done.stderr


def test_a_backup_of_another_product_is_not_restored(filled: Target, shell: Shell, tmp_path: Path) -> None:
    """Nor one that is none."""
    (taken,) = json.loads(shell.done(filled, *BACKUP, "--to", str(tmp_path), "--json"))
    done = shell.run(filled, "restore", "--product", "lyra", "--from", taken["backup"], "--into", "x")
    assert done.stderr.startswith("the backup is not one of lyra\n")
    nothing = shell.run(filled, "restore", "--product", "lyra", "--from", str(tmp_path / "x"), "--into", "x")
    assert "there is no such folder" in nothing.stderr
    manifest = Path(taken["backup"]) / "manifest.json"
    manifest.write_text("{")
    broken = shell.run(filled, "restore", "--product", "futureguide", "--from", taken["backup"], "--into", "x")
    assert broken.stderr.startswith(f"the manifest of the backup {taken['backup']} cannot be read\n")


def test_a_login_that_may_make_no_database_proves_on_a_server_of_its_own(
    filled: Target, shell: Shell, server: ServerFile, tmp_path: Path
) -> None:
    """The roles that the dump names are made there."""
    name = unique("reader")
    with connect(server.target()) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN BYPASSRLS PASSWORD 'secret' IN ROLE pg_read_all_data".encode())
    try:
        login = filled.to(user=name, password="secret")
        (taken,) = json.loads(shell.done(login, *BACKUP, "--to", str(tmp_path), "--json"))
    finally:
        with connect(server.target()) as connection:
            connection.execute(f"DROP ROLE {name}".encode())
    assert taken["proven_on"] == "an embedded PostgreSQL"
    assert len(left(tmp_path)) == 2
