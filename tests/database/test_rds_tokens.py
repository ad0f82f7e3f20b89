"""RDS IAM tokens as passwords: one for each connection, for that host, port and user, and nothing else is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import pytest

from embedded.engine.postgresql import PostgresqlProvider
from infra import aws
from infra.connection import connect
from infra.errors import AwsError, ConnectionFailedError
from tests.support.aws import REGION, Aws
from tests.support.provider import ROLE, make, rows
from tests.support.rds import Rds


@pytest.fixture(autouse=True)
def environment(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cloud.enter(monkeypatch)
    yield
    aws._client.cache_clear()


def test_each_connection_makes_a_token_for_its_host_port_and_user(rds: Rds, cloud: Aws) -> None:
    target = rds.target(iam=cloud.access)
    assert rows(target, "SELECT session_user") == [(rds.admin,)]
    user, token = rds.tokens[-1]
    parts = urlsplit(f"https://{token}")
    assert (user, parts.netloc) == (rds.admin, f"localhost:{rds.port}")
    assert dict(parse_qsl(parts.query)).items() >= {"Action": "connect", "DBUser": user, "X-Amz-Expires": "900"}.items()
    assert token not in repr(target)


def test_a_run_of_more_than_a_quarter_of_an_hour_connects_again(
    rds: Rds, cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a new token: the first has expired by then, and is refused."""
    target = rds.target(iam=cloud.access)
    first = target.login_password()
    connect(target).close()
    later = timedelta(minutes=16)
    rds.ahead[0] = later
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime.now(UTC) + later)
    connect(target).close()
    with pytest.raises(ConnectionFailedError) as caught:
        connect(target.to(iam=None, password=first))
    rds.ahead[0] = timedelta(0)
    assert "it has expired" in caught.value.detail


def test_another_accounts_token_is_refused_with_what_to_do(
    rds: Rds, cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.enter(monkeypatch, AWS_SECRET_ACCESS_KEY="another")
    with pytest.raises(ConnectionFailedError) as caught:
        connect(rds.target(iam=cloud.access))
    assert "PAM authentication failed" in caught.value.detail
    assert f"Grant rds_iam to {rds.admin}, and allow rds-db:connect" in caught.value.hint
    assert caught.value.sqlstate == "28P01"


def test_without_credentials_no_token_is_made_and_nobody_is_asked(
    rds: Rds, cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.enter(monkeypatch, AWS_ACCESS_KEY_ID="")
    with pytest.raises(AwsError) as caught:
        connect(rds.target(iam=cloud.access))
    assert caught.value.message == f"cannot make an RDS token for {rds.admin} at localhost:{rds.port}"
    assert "Set AWS_PROFILE or AWS_ACCESS_KEY_ID" in caught.value.hint


def test_the_provider_of_the_embedded_engine_logs_in_by_tokens(rds: Rds) -> None:
    """With the inputs of the official plugin."""
    provider = PostgresqlProvider(
        {
            "host": "localhost",
            "port": str(rds.port),
            "username": rds.admin,
            "sslmode": "verify-full",
            "sslrootcert": str(rds.ca),
            "awsRdsIamAuth": "true",
            "awsRdsIamRegion": REGION,
        }
    )
    make(provider, ROLE, name="made_by_token", login=False)
    provider.close()
    assert rows(rds.server.target(), "SELECT count(*) FROM pg_roles WHERE rolname = 'made_by_token'") == [(1,)]
    assert rds.tokens[-1][0] == rds.admin
