"""TLS as libpq's sslmode asks for it, with a real server and certificates: what holds, and what each refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from embedded.engine.postgresql import PostgresqlProvider
from embedded.server import ServerFile
from infra.connection import connect
from infra.errors import ConnectionFailedError
from tests.support.provider import ROLE, config, make, rows
from tests.support.tls import TlsServer


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sslmode": "verify-full"}, id="verify-full"),
        pytest.param({"sslmode": "verify-ca", "host": "127.0.0.1"}, id="verify-ca by another name"),
        pytest.param({"sslmode": "require", "host": "127.0.0.1", "sslrootcert": ""}, id="require without a CA"),
        pytest.param({"sslmode": "prefer", "host": "127.0.0.1", "sslrootcert": ""}, id="prefer"),
    ],
)
def test_a_login_is_encrypted(tls_server: TlsServer, changes: dict[str, Any]) -> None:
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert rows(tls_server.target(**changes), query) == [(True,)]


@pytest.mark.parametrize(
    ("changes", "detail", "hint"),
    [
        pytest.param(
            {"host": "127.0.0.1"}, "does not match host name", "Connect by a name that the server's", id="wrong name"
        ),
        pytest.param({"sslrootcert": "stranger"}, "certificate verify failed", "Find out who answers", id="unknown CA"),
        pytest.param(
            {"sslmode": "verify-ca", "sslrootcert": "stranger"}, "certificate verify failed", "Find out", id="verify-ca"
        ),
        pytest.param({"sslrootcert": "/none.pem"}, "/none.pem", "Name the file of the CA", id="no CA file"),
        pytest.param({"sslmode": "disable"}, "no encryption", "Set sslMode to require or stricter", id="without TLS"),
    ],
)
def test_a_login_is_refused_with_the_reason_and_what_to_do(
    tls_server: TlsServer, changes: dict[str, Any], detail: str, hint: str
) -> None:
    changes = {key: str(tls_server.stranger) if value == "stranger" else value for key, value in changes.items()}
    with pytest.raises(ConnectionFailedError) as caught:
        connect(tls_server.target(**changes))
    assert detail in caught.value.detail
    assert hint in caught.value.hint
    assert caught.value.state == "Nothing was changed."
    assert tls_server.server.password not in str(caught.value)


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(server: ServerFile) -> None:
    with pytest.raises(ConnectionFailedError) as caught:
        connect(server.target().to(sslmode="require"))
    assert "server does not support SSL" in caught.value.detail
    assert "Turn TLS on in the server" in caught.value.hint


def test_the_provider_of_the_embedded_engine_verifies_the_server_too(tls_server: TlsServer) -> None:
    """With the inputs of the official plugin: sslmode and sslrootcert."""
    inputs = {**config(tls_server.server), "sslmode": "verify-full", "sslrootcert": str(tls_server.ca)}
    by_name = PostgresqlProvider({**inputs, "host": "localhost"})
    make(by_name, ROLE, name="over_tls", login=False)
    by_name.close()
    by_address = PostgresqlProvider(inputs)
    with pytest.raises(ConnectionFailedError, match="certificate for"):
        make(by_address, ROLE, name="never_made", login=False)
    found = "SELECT rolname FROM pg_roles WHERE rolname IN ('over_tls', 'never_made')"
    assert rows(tls_server.target(), found) == [("over_tls",)]
