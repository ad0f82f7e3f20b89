"""Clients of AWS: where they get region, endpoint and credentials, and what AWS's refusals are turned into."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.credentials
import pytest

from infra import aws, aws_errors
from infra.aws import Access
from infra.errors import AwsError
from tests.support.aws import Aws, refusing_aws

ROLE = "arn:aws:iam::123456789012:role/chatdb-deploy"


@pytest.fixture(autouse=True)
def environment(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set variables for one test, on top of credentials alone; what is empty counts as not set."""

    def set_to(**variables: str) -> None:
        cloud.enter(monkeypatch, **variables)

    set_to()
    yield set_to
    aws._client.cache_clear()


def read(access: Access, name: str = "x") -> str:
    """Ask Secrets Manager, as the program does."""
    with aws_errors.explained(f"cannot read the secret {name}", access.described):
        return aws.client("secretsmanager", access).get_secret_value(SecretId=name)["SecretString"]


def who(access: Access) -> str:
    """Return who AWS takes us for."""
    return str(aws.client("sts", access).get_caller_identity()["Arn"])


def test_region_and_endpoint_come_from_the_settings(cloud: Aws) -> None:
    aws.client("secretsmanager", cloud.access).create_secret(Name="by-settings", SecretString="one")
    assert read(cloud.access, "by-settings") == "one"


def test_region_and_endpoint_come_from_the_environment(cloud: Aws, environment: Callable[..., None]) -> None:
    """AWS_REGION and AWS_ENDPOINT_URL, as for every tool of AWS."""
    environment(**cloud.variables)
    aws.client("secretsmanager").create_secret(Name="by-environment", SecretString="two")
    assert read(Access(), "by-environment") == "two"


def test_a_profile_brings_region_endpoint_and_credentials(cloud: Aws, environment: Callable[..., None]) -> None:
    """Its credentials count over the variables', since the setting names it."""
    (cloud.home / "config").write_text(
        f"[profile own]\nregion = us-east-2\nendpoint_url = {cloud.endpoint}\n"
        "aws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n"
    )
    environment()
    own = aws.client("secretsmanager", Access(profile="own"))
    assert own.meta.region_name == "us-east-2"
    assert own.meta.endpoint_url == cloud.endpoint
    assert "us-east-2" in own.create_secret(Name="by-profile", SecretString="three")["ARN"]


def test_a_role_is_assumed_and_its_credentials_are_renewed(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """By STS, with the credentials of the environment as their source; shortly before they expire."""
    access = replace(cloud.access, role=ROLE)
    assert who(access) == "arn:aws:sts::123456789012:assumed-role/chatdb-deploy/chatdb"
    asked: Any = aws.client("sts", access)
    credentials = asked._request_signer._credentials
    first = credentials.get_frozen_credentials().token
    assert first
    assert credentials.get_frozen_credentials().token == first

    def later() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=59)

    monkeypatch.setattr(botocore.credentials, "_local_now", later)
    credentials._time_fetcher = later
    assert credentials.get_frozen_credentials().token != first


def test_a_profile_may_name_the_role_itself(cloud: Aws, environment: Callable[..., None]) -> None:
    """~/.aws/config's own role_arn."""
    (cloud.home / "config").write_text(
        f"[profile deploy]\nrole_arn = {ROLE}\ncredential_source = Environment\nregion = eu-central-1\n"
        f"role_session_name = mine\nendpoint_url = {cloud.endpoint}\n"
    )
    environment()
    assert who(Access(profile="deploy")) == "arn:aws:sts::123456789012:assumed-role/chatdb-deploy/mine"


@pytest.mark.parametrize(
    ("access", "variables", "hint"),
    [
        pytest.param(Access(), {}, "Set chatdb:awsRegion", id="no region"),
        pytest.param(Access(region="x", profile="no-such"), {}, "a profile that ~/.aws/config has", id="no profile"),
        pytest.param(Access(region="eu-central-1", endpoint="nonsense"), {}, "endpoint as a URL", id="no URL"),
        pytest.param(
            Access(region="eu-central-1"), {"AWS_ACCESS_KEY_ID": ""}, "Set AWS_PROFILE or AWS_ACCESS_KEY_ID", id="none"
        ),
        pytest.param(
            Access(region="eu-central-1", role=ROLE), {"AWS_ACCESS_KEY_ID": ""}, "Set AWS_PROFILE", id="none for role"
        ),
        pytest.param(
            Access(region="eu-central-1"), {"AWS_SECRET_ACCESS_KEY": ""}, "Set AWS_PROFILE or", id="half of them"
        ),
        pytest.param(
            Access(region="eu-central-1", endpoint="http://127.0.0.1:1"), {}, "Check the network", id="unreachable"
        ),
        pytest.param(
            Access(region="eu-central-1", endpoint="http://127.0.0.1:1", role=ROLE), {}, "Check the network", id="STS"
        ),
    ],
)
def test_what_keeps_from_asking_aws_is_said_in_plain_words(
    access: Access, variables: dict[str, str], hint: str, environment: Callable[..., None]
) -> None:
    environment(**variables)
    with pytest.raises(AwsError) as caught:
        read(access)
    assert hint in caught.value.hint
    assert caught.value.detail
    assert caught.value.state == "Nothing was changed."
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDeniedException", "in the IAM policy"),
        ("ExpiredTokenException", "Log in to AWS again"),
        ("UnrecognizedClientException", "does not know these credentials"),
        ("InternalServiceError", "documentation of the AWS service"),
    ],
)
def test_what_aws_answers_is_said_with_its_code_and_what_to_do(code: str, hint: str) -> None:
    with refusing_aws(code, "the words of AWS") as endpoint, pytest.raises(AwsError) as caught:
        read(Access(region="eu-central-1", endpoint=endpoint))
    assert caught.value.code == code
    assert caught.value.message == "cannot read the secret x"
    assert "the words of AWS" in caught.value.detail
    assert hint in caught.value.hint


def test_a_missing_secret_is_named_with_where_it_was_looked_for(cloud: Aws) -> None:
    with pytest.raises(AwsError) as caught:
        read(cloud.access, "no/such")
    assert caught.value.code == "ResourceNotFoundException"
    assert "region eu-central-1" in caught.value.detail
    assert "Check the name, the region and the account" in caught.value.hint


def test_an_error_that_is_not_of_aws_passes_as_it_is() -> None:
    with pytest.raises(KeyError), aws_errors.explained("cannot", ""):
        raise KeyError


def test_boto3_is_loaded_only_where_it_is_used() -> None:
    """Importing the module costs nothing of it."""
    code = "import sys, infra.aws, infra.server; print('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
