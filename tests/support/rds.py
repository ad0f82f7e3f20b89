"""What stands before a database of RDS: TLS alone, and IAM tokens for the members of rds_iam, checked as AWS does it.

A real PostgreSQL is behind it and does everything else; it cannot check a token, which RDS does by PAM. A token is good
where its signature is that of the account's key for this very host, port and user, for 15 minutes from its date.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html and, for the signature,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import select
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl, quote, urlsplit

import trustme
from psycopg import sql

from embedded.server import ServerFile
from infra.connection import Target, connect
from tests.support.postgres import make_managed_admin
from tests.support.proxies import listening

NAME = "localhost"
"""The only name in the certificate; tokens are for it."""

TRUSTED = "127.0.0.2"
"""The address from which the server takes the word of what stands before it."""

TLS_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


@dataclass(frozen=True)
class Rds:
    """A database server as RDS gives it.

    Attributes:
        server: The server behind, as its superuser.
        port: Its port; its host is `NAME`.
        ca: File with the certificate of its authority.
        admin: The administrator: CREATEROLE, CREATEDB and rds_iam, no superuser, no password that would be taken.
        tokens: Every token that was taken, with the user it was for.
        ahead: How far its clock is ahead of this machine's: one element.
    """

    server: ServerFile
    port: int
    ca: Path
    admin: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    ahead: list[timedelta] = field(default_factory=lambda: [timedelta(0)])

    def target(self, **changes: object) -> Target:
        """Return it as the administrator, without anything to log in by."""
        found = Target(
            host=NAME,
            port=self.port,
            database="postgres",
            user=self.admin,
            sslmode="verify-full",
            sslrootcert=str(self.ca),
        )
        return found.to(**changes)


@contextmanager
def running_rds(server: ServerFile, secret_key: str) -> Iterator[Rds]:
    """Stand before a server for the length of the block; rds_iam and the administrator are made in it.

    Args:
        server: The server behind, as its superuser.
        secret_key: The account's secret key, by which tokens are checked.
    """
    admin = make_managed_admin(server).username
    with connect(server.target()) as session:
        hba = Path(str((session.execute("SHOW hba_file").fetchone() or ("",))[0]))
        before = hba.read_text(encoding="utf-8")
        hba.write_text(f"host all all {TRUSTED}/32 trust\n{before}", encoding="utf-8")
        session.execute("CREATE ROLE rds_iam NOLOGIN")
        session.execute(sql.SQL("GRANT rds_iam TO {} WITH ADMIN OPTION").format(sql.Identifier(admin)))
        session.execute("SELECT pg_reload_conf()")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client:
            _serve(client, context, server, rds, secret_key)

    with TemporaryDirectory(prefix="chatdb-rds-") as folder, listening(serve) as port:
        rds = Rds(server, port, Path(folder) / "ca.pem", admin)
        authority.cert_pem.write_to_path(str(rds.ca))
        yield rds


def _serve(client: socket.socket, context: ssl.SSLContext, server: ServerFile, rds: Rds, secret_key: str) -> None:
    """Take one connection to its end."""
    code, first = _first(client)
    while code == GSS_REQUEST:
        client.sendall(b"N")
        code, first = _first(client)
    if code != TLS_REQUEST:
        return _refuse(client, "no encryption", "28000")
    client.sendall(b"S")
    with context.wrap_socket(client, server_side=True) as inside:
        code, first = _first(inside)
        if code == CANCEL_REQUEST:
            with socket.create_connection((server.host, server.port)) as upstream:
                return upstream.sendall(first)
        words = first[8:].decode().split("\0")
        user = dict(zip(words[::2], words[1::2], strict=False))["user"]
        if not _by_token(server, user):
            return _join(inside, server, first, source="127.0.0.1")
        inside.sendall(b"R" + struct.pack("!ii", 8, 3))
        length = struct.unpack("!i", _exactly(inside, 5)[1:])[0]
        token = _exactly(inside, length - 4).rstrip(b"\0").decode()
        if why := refusal(token, port=rds.port, user=user, secret_key=secret_key, now=datetime.now(UTC) + rds.ahead[0]):
            return _refuse(inside, f'PAM authentication failed for user "{user}" ({why})', "28000")
        rds.tokens.append((user, token))
        return _join(inside, server, first, source=TRUSTED)


def refusal(token: str, *, port: int, user: str, secret_key: str, now: datetime) -> str:
    """Return why a token is not good; empty where it is."""
    parts = urlsplit(f"https://{token}")
    values = dict(parse_qsl(parts.query))
    if parts.netloc != f"{NAME}:{port}":
        return f"it is for {parts.netloc}"
    if (values.get("Action"), values.get("DBUser")) != ("connect", user):
        return "it is for another user"
    made = datetime.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if not timedelta(minutes=-5) <= now - made <= timedelta(seconds=int(values["X-Amz-Expires"])):
        return "it has expired"
    signature = values.pop("X-Amz-Signature")
    query = "&".join(f"{quote(key, safe='-_.~')}={quote(values[key], safe='-_.~')}" for key in sorted(values))
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\nhost:{parts.netloc}\n\nhost\n{empty}"
    scope = values["X-Amz-Credential"].split("/", 1)[1]
    hashed = hashlib.sha256(request.encode()).hexdigest()
    signed = f"AWS4-HMAC-SHA256\n{values['X-Amz-Date']}\n{scope}\n{hashed}"
    key = b"AWS4" + secret_key.encode()
    for piece in [*scope.split("/"), signed]:
        key = hmac.digest(key, piece.encode(), "sha256")
    return "" if hmac.compare_digest(key.hex(), signature) else "its signature is not the account's"


def _first(client: socket.socket) -> tuple[int, bytes]:
    """Return the code of a message that begins a connection, and the whole of it."""
    head = _exactly(client, 8)
    length, code = struct.unpack("!ii", head)
    return code, head + _exactly(client, length - 8)


def _exactly(source: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        piece = source.recv(count - len(parts))
        if not piece:
            raise EOFError
        parts += piece
    return parts


def _by_token(server: ServerFile, user: str) -> bool:
    """Tell whether a user is a member of rds_iam, and logs in by tokens alone."""
    query = "SELECT pg_has_role(oid, 'rds_iam', 'MEMBER') FROM pg_roles WHERE rolname = %s AND NOT rolsuper"
    with connect(server.target()) as session:
        return bool((session.execute(query, [user]).fetchone() or (False,))[0])


def _refuse(client: socket.socket, text: str, sqlstate: str) -> None:
    body = b"".join(
        f"{key}{value}".encode() + b"\0" for key, value in zip("SCM", ("FATAL", sqlstate, text), strict=True)
    )
    client.sendall(b"E" + struct.pack("!i", len(body) + 5) + body + b"\0")


def _join(client: ssl.SSLSocket, server: ServerFile, first: bytes, *, source: str) -> None:
    """Pass everything on, both ways, until either side ends."""
    with socket.create_connection((server.host, server.port), source_address=(source, 0)) as upstream:
        upstream.sendall(first)
        while True:
            ready = [client] if client.pending() else select.select([client, upstream], [], [])[0]
            for end in ready:
                piece = end.recv(65536)
                if not piece:
                    return
                (upstream if end is client else client).sendall(piece)
