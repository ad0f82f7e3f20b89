"""PostgreSQL that takes logins over TLS alone, with certificates of an authority of its own.

The packaged PostgreSQL 18 is built without TLS; that of npm has it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

from embedded.server import ServerFile
from infra.connection import Target, connect
from infra.errors import ConnectionFailedError

NAME = "localhost"
"""The only name in the server's certificate."""

WAIT_S = 10


@dataclass(frozen=True)
class TlsServer:
    """The server and its authority.

    Attributes:
        server: The server; its host is an address that the certificate does not have.
        ca: File with the authority's certificate.
        stranger: File with the certificate of another authority.
    """

    server: ServerFile
    ca: Path
    stranger: Path

    def target(self, sslmode: str = "verify-full", **changes: object) -> Target:
        """Return the server by the name in its certificate, trusting its authority."""
        return self.server.target().to(host=NAME, sslmode=sslmode, sslrootcert=str(self.ca)).to(**changes)


@contextmanager
def speaking_tls(server: ServerFile) -> Iterator[TlsServer]:
    """Make a server, whose TLS is off, take logins over TLS alone."""
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME)
    with connect(server.target()) as session:
        folder, hba = (
            Path(_shown(session.execute(f"SHOW {name}").fetchone())) for name in ("data_directory", "hba_file")
        )
        _write(folder / "server.crt", b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        _write(folder / "server.key", certificate.private_key_pem.bytes())
        hba.write_text("hostssl all all all scram-sha-256\n", encoding="utf-8")
        session.execute("ALTER SYSTEM SET ssl = on")
        session.execute("SELECT pg_reload_conf()")
    with TemporaryDirectory(prefix="chatdb-tls-") as name:
        ca, stranger = Path(name) / "ca.pem", Path(name) / "stranger.pem"
        authority.cert_pem.write_to_path(str(ca))
        trustme.CA().cert_pem.write_to_path(str(stranger))
        speaking = TlsServer(server, ca, stranger)
        _await(speaking.target())
        yield speaking


def _await(target: Target) -> None:
    """Wait until the server has taken up its new configuration."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return connect(target).close()
        except ConnectionFailedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _shown(row: tuple[str, ...] | None) -> str:
    assert row is not None
    return row[0]


def _write(file: Path, content: bytes) -> None:
    """Write a file that the server's account alone reads."""
    owner = file.parent.stat()
    file.write_bytes(content)
    file.chmod(0o600)
    os.chown(file, owner.st_uid, owner.st_gid)
