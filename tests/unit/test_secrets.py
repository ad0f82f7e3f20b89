"""Secrets in AWS: the administrator's as RDS writes it, and those that the stack writes for its logins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra import admin_secret, aws, settings
from infra.address import address
from infra.errors import AwsError, ChatdbError, SettingsError
from infra.published import PublishedCredentialProvider
from tests.support.aws import REGION, Aws, refusing_aws
from tests.support.postgres import unique

RDS = {"engine": "postgres", "host": "db.example.com", "port": 5432, "username": "root", "password": "hush"}
PROVIDER = PublishedCredentialProvider()


@pytest.fixture(autouse=True)
def environment(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cloud.enter(monkeypatch)
    yield
    aws._client.cache_clear()


def stored(cloud: Aws, text: str) -> str:
    """Store a text and return the secret's ARN."""
    return aws.client("secretsmanager", cloud.access).create_secret(Name=unique("admin"), SecretString=text)["ARN"]


def test_the_secret_of_rds_brings_server_and_administrator(cloud: Aws) -> None:
    arn = stored(cloud, json.dumps({**RDS, "dbname": "chat"}))
    found = admin_secret.read(arn, cloud.access, needed=["host", "username", "password"])
    assert (found.arn, found.host, found.port, found.username) == (arn, "db.example.com", 5432, "root")
    assert (found.password, found.database) == ("hush", "chat")
    assert "hush" not in repr(found)


def test_an_arn_brings_its_region(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither setting nor environment names one."""
    arn = stored(cloud, json.dumps(RDS))
    cloud.enter(monkeypatch, AWS_ENDPOINT_URL=cloud.endpoint)
    assert admin_secret.read(arn, aws.Access(), needed=["password"]).username == "root"


def test_what_the_stack_file_has_need_not_be_in_the_secret(cloud: Aws) -> None:
    """RDS's own managed secret holds username and password alone."""
    arn = stored(cloud, json.dumps({"username": "root", "password": "hush"}))
    assert admin_secret.read(arn, cloud.access, needed=["username", "password"]).host == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("hush", "its value is no JSON object", id="no JSON"),
        pytest.param('["hush"]', "its value is no JSON object", id="no object"),
        pytest.param('{"username": "root", "password": "hush"}', "it lacks host", id="no host"),
        pytest.param('{"host": "hush", "username": "u"}', "it lacks password; it has host, username", id="no password"),
        pytest.param(json.dumps({**RDS, "port": "hush"}), "its port is no number", id="no port"),
    ],
)
def test_a_secret_that_cannot_be_used_is_said_without_its_value(cloud: Aws, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        admin_secret.read(stored(cloud, text), cloud.access, needed=["host", "username", "password"])
    assert expected in caught.value.detail
    assert caught.value.hint
    assert "hush" not in str(caught.value)


def stack_settings(cloud: Aws, **keys: str) -> settings.StackSettings:
    """Return the settings of a stack on RDS."""
    config = {"awsRegion": REGION, "awsEndpoint": cloud.endpoint, **keys}
    return settings.load({f"chatdb:{key}": value for key, value in config.items()}, stack="prod")


def test_what_the_stack_file_says_counts_over_the_secret(cloud: Aws) -> None:
    arn = stored(cloud, json.dumps({**RDS, "port": 6432, "dbname": "chat"}))
    found = address(stack_settings(cloud, adminSecret=arn))
    assert (found.host, found.port, found.username, found.database) == ("db.example.com", 6432, "root", "chat")
    own = {"host": "replica.example.com", "port": "5432", "username": "deploy", "maintenanceDatabase": "postgres"}
    over = address(stack_settings(cloud, adminSecret=arn, **own))
    assert (over.host, over.port, over.username, over.database) == ("replica.example.com", 5432, "deploy", "postgres")
    assert (over.password, over.secret_arn) == ("hush", arn)


def test_a_token_that_cannot_be_made_is_said_before_anything_is_declared(
    cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"iamAuthentication": "true", "host": "db.example.com", "username": "root"}
    assert address(stack_settings(cloud, **keys)).password == ""
    cloud.enter(monkeypatch, AWS_ACCESS_KEY_ID="")
    with pytest.raises(AwsError) as caught:
        address(stack_settings(cloud, **keys))
    assert caught.value.message == "cannot make an RDS token for root at db.example.com:5432"


def inputs(cloud: Aws, **changes: Any) -> dict[str, Any]:
    """Return the inputs of a published credential with a name of its own."""
    return {
        "name": f"chat/{unique('login')}",
        "stack": "prod",
        "aws": cloud.access.as_dict(),
        "recoveryDays": 7,
        "engine": "postgres",
        "host": "db.example.com",
        "port": 5432.0,  # as Pulumi hands numbers over
        "username": "lyra_app",
        "password": "first",
        "dbname": "lyra",
        **changes,
    }


def made(props: dict[str, Any]) -> dict[str, Any]:
    """Write a secret and return the resource's outputs."""
    return dict(PROVIDER.create(props).outs or {})


def value(cloud: Aws, props: dict[str, Any]) -> dict[str, Any]:
    """Return what the secret holds."""
    asked = aws.client("secretsmanager", cloud.access)
    held: dict[str, Any] = json.loads(asked.get_secret_value(SecretId=props["name"])["SecretString"])
    return held


def test_a_new_password_reaches_the_secret_and_the_former_one_stays_as_its_previous_version(cloud: Aws) -> None:
    first = made(inputs(cloud))
    news = {**first, "password": "second"}
    assert PROVIDER.diff("", first, news).changes
    second = dict(PROVIDER.update("", first, news).outs or {})
    assert value(cloud, second) == {
        "engine": "postgres",
        "host": "db.example.com",
        "port": 5432,
        "username": "lyra_app",
        "password": "second",
        "dbname": "lyra",
    }
    asked = aws.client("secretsmanager", cloud.access)
    before = asked.get_secret_value(SecretId=second["arn"], VersionStage="AWSPREVIOUS")["SecretString"]
    assert json.loads(before)["password"] == "first"


def test_what_a_killed_run_began_is_gone_on_with(cloud: Aws) -> None:
    """The secret was made, and the state did not come to know it."""
    props = inputs(cloud)
    PROVIDER.create(props)
    again = {**props, "password": "second"}
    assert PROVIDER.check({}, again).failures == []
    PROVIDER.create(again)
    assert value(cloud, again)["password"] == "second"


def test_a_deleted_secret_is_restored_when_it_is_made_again(cloud: Aws) -> None:
    first = made(inputs(cloud))
    PROVIDER.delete("", first)
    PROVIDER.delete("", first)  # a second time is no error
    assert PROVIDER.read("", first).id is None
    again = made({**first, "arn": None, "password": "second"})
    assert again["arn"] == first["arn"]
    assert value(cloud, again)["password"] == "second"


@pytest.mark.parametrize("tags", [[], [{"Key": "chatdb:stack", "Value": "staging"}]], ids=["a person's", "staging's"])
def test_a_secret_that_another_wrote_is_refused_in_the_preview(cloud: Aws, tags: list[Any]) -> None:
    props = inputs(cloud)
    aws.client("secretsmanager", cloud.access).create_secret(Name=props["name"], SecretString="theirs", Tags=tags)
    (failure,) = PROVIDER.check({}, props).failures or []
    assert "stands already and is not this stack's" in failure.reason
    with pytest.raises(SettingsError):
        PROVIDER.create(props)


def test_another_name_or_region_makes_another_secret_and_another_way_to_it_does_not(cloud: Aws) -> None:
    props = inputs(cloud)
    elsewhere = {**props["aws"], "region": "us-east-1"}
    assert PROVIDER.diff("", props, {**props, "name": "other"}).replaces == ["name"]
    assert PROVIDER.diff("", props, {**props, "aws": elsewhere}).replaces == ["aws"]
    assert PROVIDER.diff("", props, {**props, "aws": {**props["aws"], "profile": "ci"}}).replaces == []
    assert not PROVIDER.diff("", props, dict(props)).changes


def test_a_refusal_of_aws_stops_the_preview_and_says_what_stands(cloud: Aws) -> None:
    with refusing_aws("ExpiredTokenException", "the security token is expired") as endpoint:
        props = inputs(cloud, aws={**cloud.access.as_dict(), "endpoint": endpoint})
        (failure,) = PROVIDER.check({}, props).failures or []
        with pytest.raises(AwsError) as caught:
            PROVIDER.create(props)
    assert "the security token is expired" in failure.reason
    assert "STATE: Nothing was changed." in failure.reason
    assert "Secrets written before this one stay" in caught.value.state
    assert isinstance(caught.value, ChatdbError)
    assert "first" not in str(caught.value)
