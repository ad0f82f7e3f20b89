"""AWS on this machine: moto's server on a free port of loopback, with credentials of its own and none of the machine's.

Called by the fixtures of tests/conftest.py.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.aws import Access

REGION = "eu-central-1"
SECRET_KEY = "secret-key"
# What the machine may have set must not reach a test.
UNSET = (
    "AWS_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


@dataclass(frozen=True)
class Aws:
    """An account of AWS.

    Attributes:
        endpoint: URL of every service of it.
        home: Folder of its ~/.aws/config and credentials, empty at first.
    """

    endpoint: str
    home: Path

    @property
    def access(self) -> Access:
        """How it is reached."""
        return Access(region=REGION, endpoint=self.endpoint)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a command that uses it by the usual AWS settings alone."""
        return {**self.credentials, "AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": REGION}

    @property
    def credentials(self) -> dict[str, str]:
        """The environment of a command that is told region and endpoint in another way."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIACHATDBTESTS00000",
            "AWS_SECRET_ACCESS_KEY": "secret-key",
            **self.no_credentials,
        }

    def enter(self, patch: pytest.MonkeyPatch, **more: str) -> None:
        """Put its credentials, and no others, into this process's environment; what is empty in `more` is not set."""
        from infra import aws

        aws._client.cache_clear()
        for name in UNSET:
            patch.delenv(name, raising=False)
        for name, value in {**self.credentials, **more}.items():
            patch.setenv(name, value) if value else patch.delenv(name, raising=False)

    @property
    def no_credentials(self) -> dict[str, str]:
        """The environment of a command without credentials, and without any of this machine."""
        return {
            "AWS_CONFIG_FILE": str(self.home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def running_aws() -> Iterator[Aws]:
    """Run moto's server for the length of the block."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with tempfile.TemporaryDirectory(prefix="chatdb-aws-") as home:
        try:
            yield Aws(f"http://{host}:{port}", Path(home))
        finally:
            server.stop()


@contextmanager
def refusing_aws(code: str, message: str = "refused", status: int = 400) -> Iterator[str]:
    """Answer every request with one of AWS's errors, for those that moto never gives; yields the endpoint."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"__type": code, "message": message}).encode()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def refusing_s3(code: str, status: int, *, behind: str = "", at: str = "") -> Iterator[str]:
    """Answer requests of S3 with one of its errors; yields the endpoint.

    Args:
        code: The error.
        status: Its HTTP status.
        behind: Endpoint that answers what is not refused; nothing is let through without one.
        at: Method and end of the path from which on everything is refused, as in "PUT manifest.json"; at once if empty.
    """
    refusing = threading.Event()
    method, _, end = at.partition(" ")
    if not behind:
        refusing.set()

    class Between(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command == method and self.path.partition("?")[0].endswith(end):
                refusing.set()
            if refusing.is_set():
                text = f"<Error><Code>{code}</Code></Error>".encode()
                _say(self, status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))], text)
                return
            # Moto looks at no signature: what was signed for this port is good there too.
            there = HTTPConnection(behind.partition("://")[2])
            there.request(self.command, self.path, body, {**self.headers, "Expect": ""})
            found = there.getresponse()
            _say(self, found.status, found.getheaders(), found.read())
            there.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _say(handler: BaseHTTPRequestHandler, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    handler.send_response(status)
    for name, value in headers:  # a name may come twice
        if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
            handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
