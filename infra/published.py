"""Credentials of login roles in AWS Secrets Manager, one dynamic resource per role, as the JSON that RDS stores.

Made after the role has its password, so that a secret never holds one that is refused; updated with it; on destroy
scheduled for deletion, which can be taken back for `secretRecoveryDays`. A secret that is scheduled for deletion is
restored when it is made again. A secret of the name that this stack did not write is left alone: tags tell.
Called by `infra.database`. `PublishedCredentialProvider` and this module's name stand in state: never rename them.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra import aws
from infra.aws import Access
from infra.aws_errors import explained
from infra.errors import ChatdbError, SettingsError
from infra.provider import PlainErrorProvider, changed_keys, is_known

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef

STACK_TAG, ROLE_TAG = "chatdb:stack", "chatdb:role"
# The keys of RDS's JSON, which are the resource's inputs too; masterarn only where the administrator has a secret.
VALUE_KEYS = ("engine", "host", "port", "username", "password", "dbname", "masterarn")
KEYS = ("name", "stack", "aws", "recoveryDays", *VALUE_KEYS)
STATE = "Secrets written before this one stay; run the same command again to go on."


class PublishedCredentialProvider(PlainErrorProvider):
    """Writes, restores and schedules for deletion one secret."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, before anything is done, what AWS would refuse: asked only where something is to be written."""
        try:
            if is_known(news.get("name"), news.get("aws")) and (not _olds or changed_keys(_olds, news, KEYS)):
                with _explained("look for", news, state="Nothing was changed."):
                    _own(_client(news), news)
        except ChatdbError as error:
            return CheckResult(news, [CheckFailure("name", str(error))])
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Ask for an update where the value changed, for a new secret where its name or region did."""
        changed = changed_keys(_olds, _news, KEYS)
        replaces = ["name"] if "name" in changed else []
        if Access.of(_olds.get("aws", {})).region != Access.of(_news.get("aws", {})).region:
            replaces.append("aws")
        return DiffResult(changes=bool(changed), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Write the secret: a new one, one that is restored, or one that a run began before it was cut off."""
        return CreateResult(props["name"], {**props, "arn": _write(props)})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Write the new value where it was; a secret that is gone is made again."""
        return UpdateResult({**_news, "arn": _write({**_news, "arn": _olds.get("arn")})})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Report what the secret holds; gone where it is scheduled for deletion too."""
        client = _client(props)
        with _explained("read", props, state="Nothing was changed."):
            if _standing(_described(client, props)) is None:
                return ReadResult(None, {})
            live = _value(client, props)
        return ReadResult(id_, {**props, **{key: live.get(key) for key in VALUE_KEYS if key in props}})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Schedule the secret for deletion; one that is gone or scheduled already is left as it is."""
        client = _client(_props)
        with _explained("delete", _props, state=STATE):
            if _standing(_described(client, _props)) is not None:
                client.delete_secret(SecretId=_id_of(_props), RecoveryWindowInDays=int(_props["recoveryDays"]))


def _write(props: Mapping[str, Any]) -> str:
    """Bring the secret to the wanted value and return its ARN."""
    client = _client(props)
    wanted = {key: int(props[key]) if key == "port" else props[key] for key in VALUE_KEYS if props.get(key)}
    text = json.dumps(wanted)
    with _explained("write", props, state=STATE):
        found = _own(client, props)
        if found is None:
            about = f"PostgreSQL login {props['username']} of database {props['dbname']}, written by chatdb"
            made = client.create_secret(
                Name=props["name"],
                SecretString=text,
                Description=about,
                Tags=[{"Key": STACK_TAG, "Value": props["stack"]}, {"Key": ROLE_TAG, "Value": props["username"]}],
            )
            return made["ARN"]
        if _standing(found) is None:
            client.restore_secret(SecretId=found["ARN"])
        if _value(client, props) != wanted:
            client.put_secret_value(SecretId=found["ARN"], SecretString=text)
        return found["ARN"]


def _own(client: SecretsManagerClient, props: Mapping[str, Any]) -> DescribeSecretResponseTypeDef | None:
    """Return the secret of the name where there is one, scheduled for deletion or not.

    Raises:
        SettingsError: it was not written by this stack.
    """
    found = _described(client, props)
    if found is None:
        return None
    tags = {tag.get("Key"): tag.get("Value") for tag in found.get("Tags", [])}
    if tags.get(STACK_TAG) == props["stack"]:
        return found
    whose = f"stack {tags[STACK_TAG]}'s" if STACK_TAG in tags else "not written by chatdb"
    raise SettingsError(
        f"the secret {props['name']} stands already and is not this stack's",
        detail=f"it is {whose} ({found['ARN']})",
        hint="Choose another chatdb:secretPrefix, or delete or rename that secret.",
        state="It was left as it is.",
    )


def _described(client: SecretsManagerClient, props: Mapping[str, Any]) -> DescribeSecretResponseTypeDef | None:
    try:
        return client.describe_secret(SecretId=_id_of(props))
    except client.exceptions.ResourceNotFoundException:
        return None


def _standing(found: DescribeSecretResponseTypeDef | None) -> DescribeSecretResponseTypeDef | None:
    """Return the secret where it is not scheduled for deletion."""
    return None if found is None or "DeletedDate" in found else found


def _value(client: SecretsManagerClient, props: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value as it is; empty where it is no JSON object, or has none yet."""
    try:
        value = json.loads(client.get_secret_value(SecretId=_id_of(props)).get("SecretString", ""))
    except (ValueError, client.exceptions.ResourceNotFoundException):
        return {}
    return value if isinstance(value, dict) else {}


def _id_of(props: Mapping[str, Any]) -> str:
    return str(props.get("arn") or props["name"])


def _access(props: Mapping[str, Any]) -> Access:
    """Return how AWS is reached; the region is the one the secret was written to, where it was."""
    access = Access.of(props["aws"])
    arn = str(props.get("arn") or "")
    return replace(access, region=access.region or (arn.split(":")[3] if arn else ""))


def _client(props: Mapping[str, Any]) -> SecretsManagerClient:
    return aws.client("secretsmanager", _access(props))


def _explained(verb: str, props: Mapping[str, Any], *, state: str) -> Any:
    return explained(f"cannot {verb} the secret {props['name']}", _access(props).described, state=state)


class PublishedCredential(Resource, module="chatdb", name="PublishedCredential"):
    """One login's secret in AWS.

    Attributes:
        arn: Its ARN.

    Args:
        name: Name of the resource.
        secret: Name of the secret.
        stack: The stack, whose secret it is by tag.
        access: How AWS is reached.
        value: The keys of RDS's JSON; the password is a secret.
        recovery_days: Days for which it can be restored after it was deleted, 7 to 30.
        opts: Options of the resource.
    """

    arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        secret: str,
        stack: str,
        access: Access,
        value: Mapping[str, Any],
        recovery_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"name": secret, "stack": stack, "aws": access.as_dict(), "recoveryDays": recovery_days, "arn": None}
        options = pulumi.ResourceOptions(additional_secret_outputs=["password"])
        super().__init__(
            PublishedCredentialProvider(), name, {**props, **value}, pulumi.ResourceOptions.merge(opts, options)
        )
