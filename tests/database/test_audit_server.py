"""The audit's rules about the server itself, each on a server that breaks it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded.server import EmbeddedServer
from infra import products
from infra.audit import runner
from infra.audit.rules import RULES
from infra.connection import connect
from tests.support.postgres import UNSAFE_BUT_QUICK

SERVER_RULES = [rule for rule in RULES if rule.server_wide]


@pytest.fixture
def made() -> Iterator[Callable[..., EmbeddedServer]]:
    """Give a server that has been made and stands still, with settings over the usual ones."""
    folder = Path(tempfile.mkdtemp(prefix="chatdb-tests-"))
    folder.chmod(0o755)  # the account that runs PostgreSQL passes through it
    servers: list[EmbeddedServer] = []

    def make(**settings: str) -> EmbeddedServer:
        server = EmbeddedServer(folder / str(len(servers)), settings={**UNSAFE_BUT_QUICK, **settings})
        servers.append(server)
        server.start()
        server.stop()
        return server

    yield make
    for server in servers:
        server.destroy()
    shutil.rmtree(folder)


def found(server: EmbeddedServer) -> list[tuple[str, str, str, str]]:
    """Start the server and return product, rule, object and detail of what its rules find."""
    with connect(server.start().target()) as connection:
        report = runner.audit(connection, products.load("lyra"), rules=SERVER_RULES)
    return [(one.product, one.rule.id, one.object, one.detail) for one in report.findings]


def test_nothing_is_found_on_the_embedded_server(made: Callable[..., EmbeddedServer]) -> None:
    """It listens on loopback without TLS, asks everyone for a SCRAM password, and logs no statement."""
    assert found(made()) == []


def test_a_server_that_keeps_md5_and_logs_statements_is_found(made: Callable[..., EmbeddedServer]) -> None:
    """Both as settings of the server, so told for the server and not for a product."""
    server = made(password_encryption="md5", log_statement="ddl", log_parameter_max_length_on_error="64")
    assert found(server) == [
        ("", "password-encryption", "password_encryption of server", "it is md5"),
        ("", "log-holds-statements", "log_statement of server", "it is ddl"),
        ("", "log-holds-values", "log_parameter_max_length_on_error of server", "it is 64"),
    ]


def test_logins_without_a_password_are_found_by_their_line(made: Callable[..., EmbeddedServer]) -> None:
    """Trust lets anyone in; password sends it in plain text."""
    server = made()
    file = server.data_directory / "pg_hba.conf"
    lines = ["host lyra nobody_at_all 127.0.0.1/32 trust", "host all nobody_at_all 127.0.0.1/32 password"]
    file.write_text(file.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
    assert found(server) == [
        ("", "login-without-password", "pg_hba.conf line 2", "its method is trust"),
        ("", "login-without-password", "pg_hba.conf line 3", "its method is password"),
    ]


def test_a_server_that_listens_for_others_without_tls_is_found(
    made: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address beside loopback; this machine does not have it, so the server only warns and listens on loopback."""
    server = made()
    monkeypatch.setattr("embedded.server.HOST", "127.0.0.1, 192.0.2.1")
    assert found(server) == [
        ("", "tls-off", "ssl of server", "ssl is off, and it listens on 127.0.0.1, 192.0.2.1"),
    ]
