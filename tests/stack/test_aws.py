"""A stack whose secrets, the administrator's and its logins', are in AWS: its whole life, and what AWS refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from embedded.server import ServerFile
from infra import aws
from infra.connection import connect
from tests.stack.test_bad_input import is_clean_error
from tests.support.aws import REGION, Aws
from tests.support.project import Project

LOGINS = ("app", "migrator", "readonly")


@pytest.fixture(autouse=True)
def environment(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests themselves ask AWS too."""
    cloud.enter(monkeypatch)
    yield
    aws._client.cache_clear()


@pytest.fixture
def stack(project: Project, cloud: Aws, own_server: ServerFile) -> Iterator[Project]:
    """The stack `rds`, not up yet: everything about the server from a secret as RDS writes it."""
    asked = aws.client("secretsmanager", cloud.access)
    asked.create_secret(Name="rds/admin", SecretString=json.dumps(admin(own_server)))
    write(project, cloud)
    yield project.with_environment(**cloud.credentials)
    asked.delete_secret(SecretId="rds/admin", ForceDeleteWithoutRecovery=True)


def admin(server: ServerFile, **changes: Any) -> dict[str, Any]:
    """Return the administrator's secret."""
    found = {"host": server.host, "port": server.port, "username": server.username, "password": server.password}
    return {"engine": "postgres", **found, "dbname": "postgres", **changes}


def write(project: Project, cloud: Aws, **changes: Any) -> None:
    """Write the stack's file."""
    settings = {
        "products": ["lyra"],
        "adminSecret": "rds/admin",
        "superuser": True,
        "sslMode": "disable",
        "onDestroy": "drop",
        "standIns": True,
        "publishCredentials": True,
        "secretRecoveryDays": 7,
        "awsRegion": REGION,
        "awsEndpoint": cloud.endpoint,
    }
    project.write_stack("rds", {**settings, **changes})


def published(cloud: Aws, kind: str) -> dict[str, Any]:
    """Return what a login's secret holds."""
    text = aws.client("secretsmanager", cloud.access).get_secret_value(SecretId=f"chatdb/rds/lyra_{kind}")
    value: dict[str, Any] = json.loads(text["SecretString"])
    return value


def logs_in(value: dict[str, Any]) -> bool:
    """Tell whether a published credential opens a session, as an application would read it."""
    try:
        psycopg.connect(
            host=value["host"],
            port=value["port"],
            user=value["username"],
            password=value["password"],
            dbname=value["dbname"],
        ).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_stack_lives_by_secrets_of_aws(stack: Project, cloud: Aws, own_server: ServerFile) -> None:
    """Up, drifted, the administrator's password changed, destroyed, made again."""
    asked = aws.client("secretsmanager", cloud.access)
    stack.succeed("up", "--stack", "rds", "--yes")
    first = {kind: published(cloud, kind) for kind in LOGINS}
    for kind, value in first.items():
        described = asked.describe_secret(SecretId=f"chatdb/rds/lyra_{kind}")
        assert list(value) == ["engine", "host", "port", "username", "password", "dbname", "masterarn"]
        assert (value["engine"], value["port"], value["dbname"]) == ("postgres", own_server.port, "lyra")
        assert value["username"] == f"lyra_{kind}"
        assert value["masterarn"] == asked.describe_secret(SecretId="rds/admin")["ARN"]
        assert {tag["Key"]: tag["Value"] for tag in described["Tags"]}["chatdb:stack"] == "rds"
        assert logs_in(value)

    # The guard of the data goes before the secrets, and so before anything is lost where it refuses.
    state = stack.state("rds")
    (guard,) = [one for one in state["deployment"]["resources"] if one["urn"].endswith("lyra-teardown")]
    assert len([urn for urn in guard["dependencies"] if urn.endswith("-secret")]) == len(LOGINS)

    # No password in plain, neither the administrator's nor a generated one.
    passwords = (own_server.password, *(value["password"] for value in first.values()))
    assert not [password for password in passwords if password in json.dumps(state)]

    # Nothing changed, nothing is written.
    stack.succeed("refresh", "--stack", "rds", "--yes", "--expect-no-changes")
    assert len(asked.list_secret_version_ids(SecretId="chatdb/rds/lyra_app")["Versions"]) == 1

    # Someone wrote something else over one secret, threw another away, the administrator's password is a new one, and
    # the logins' are to be.
    asked.put_secret_value(SecretId="chatdb/rds/lyra_app", SecretString='{"password": "x"}')
    asked.delete_secret(SecretId="chatdb/rds/lyra_readonly", RecoveryWindowInDays=7)
    assert stack.chatdb("refresh", "--stack", "rds", "--yes", "--expect-no-changes").returncode == 2
    with connect(own_server.target()) as session:
        change = sql.SQL("ALTER ROLE {} PASSWORD {}")
        role = sql.Identifier(own_server.username)
        session.execute(change.format(role, sql.Literal("another")))
        asked.put_secret_value(SecretId="rds/admin", SecretString=json.dumps(admin(own_server, password="another")))
        try:
            stale = stack.chatdb("destroy", "--stack", "rds", "--yes")
            assert is_clean_error(stale)
            assert "run `chatdb up --stack rds`, which reads it anew" in stale.stderr
            write(stack, cloud, rotation=2)
            stack.succeed("up", "--stack", "rds", "--yes")
            second = {kind: published(cloud, kind) for kind in LOGINS}
            assert second["migrator"]["username"] == "lyra_migrator"
            assert second["app"] == {**first["app"], **{key: second["app"][key] for key in ("username", "password")}}
            assert second["app"]["username"] != first["app"]["username"]
            assert [logs_in(value) for value in (*second.values(), first["app"], first["migrator"])] == [
                *(True, True, True),  # the new ones
                True,  # the service's former login, until the next rotation
                False,  # the migrator's former password: the stack alone uses it
            ]
            stack.succeed("destroy", "--stack", "rds", "--yes")
        finally:
            session.execute(change.format(role, sql.Literal(own_server.password)))
    asked.put_secret_value(SecretId="rds/admin", SecretString=json.dumps(admin(own_server)))
    gone = asked.describe_secret(SecretId="chatdb/rds/lyra_app")["DeletedDate"]
    assert 6 <= (gone - datetime.now(UTC)).days <= 7

    # Made again within the window, the secrets are restored, with the new passwords.
    stack.succeed("up", "--stack", "rds", "--yes")
    again = published(cloud, "app")
    assert (logs_in(again), logs_in(first["app"])) == (True, False)
    stack.succeed("destroy", "--stack", "rds", "--yes")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"adminSecret": "rds/none"}, "cannot read the secret rds/none", id="missing secret"),
        pytest.param({"awsEndpoint": "http://127.0.0.1:1"}, "Check the network", id="AWS not reached"),
        pytest.param(
            {"secretPrefix": "taken"},
            "the secret taken/lyra_app stands already and is not this stack's",
            id="secret of somebody else",
        ),
    ],
)
def test_what_aws_does_not_give_is_said_before_anything_is_made(
    stack: Project, cloud: Aws, own_server: ServerFile, changes: dict[str, str], expected: str
) -> None:
    """Nor is a secret touched that the stack did not write."""
    asked = aws.client("secretsmanager", cloud.access)
    asked.create_secret(Name="taken/lyra_app", SecretString="somebody else's")
    write(stack, cloud, **changes)
    done = stack.chatdb("up", "--stack", "rds", "--yes")
    text = asked.get_secret_value(SecretId="taken/lyra_app")["SecretString"]
    asked.delete_secret(SecretId="taken/lyra_app", ForceDeleteWithoutRecovery=True)
    assert is_clean_error(done, password=own_server.password)
    assert expected in done.stderr
    assert (text, roles(own_server)) == ("somebody else's", [])


def roles(server: ServerFile) -> list[str]:
    """Return the roles of the product that stand on a server."""
    with connect(server.target()) as connection:
        return [str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lyra%'")]
