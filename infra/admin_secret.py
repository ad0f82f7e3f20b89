"""Read the administrator's secret from AWS Secrets Manager: the JSON that RDS stores for a master user.

Called by `infra.server` while the program runs; the password goes on as one of Pulumi's secrets.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infra import aws
from infra.aws import Access
from infra.aws_errors import explained
from infra.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class AdminSecret:
    """What the secret holds; text is empty and the port 0 where it lacks one.

    Attributes:
        arn: The secret's own ARN.
        host: Host name of the server.
        port: TCP port.
        username: The administrator.
        password: The administrator's password.
        database: Database to connect to first.
    """

    arn: str
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    database: str = ""


def read(secret: str, access: Access, *, needed: Collection[str]) -> AdminSecret:
    """Return what a secret holds now.

    Args:
        secret: Its ARN or name; an ARN brings its region, where the access names none.
        access: How AWS is reached.
        needed: Keys it must hold, of RDS's JSON: "password", and whatever the stack file leaves out.

    Raises:
        AwsError: AWS refuses, is not reached, or has no such secret.
        SettingsError: the secret is no JSON object, or lacks a needed key; its value is not shown.
    """
    if secret.startswith("arn:") and not access.region:
        access = replace(access, region=secret.split(":")[3])
    with explained(f"cannot read the secret {secret} (chatdb:adminSecret)", access.described):
        answer = aws.client("secretsmanager", access).get_secret_value(SecretId=secret)
    values = _decoded(secret, answer.get("SecretString"))
    lacking = [key for key in needed if not values.get(key)]
    if lacking:
        raise _unusable(
            secret,
            f"it lacks {', '.join(lacking)}; it has {', '.join(sorted(values)) or 'no keys'}",
            "Add what is missing to the secret, or set it in the stack file (host, port, username).",
        )
    port = str(values.get("port") or 0)
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise _unusable(secret, "its port is no number from 1 to 65535", "Mend the port in the secret.")
    return AdminSecret(
        arn=answer["ARN"],
        host=str(values.get("host") or ""),
        port=int(port),
        username=str(values.get("username") or ""),
        password=str(values["password"]),
        database=str(values.get("dbname") or ""),
    )


def _decoded(secret: str, text: str | None) -> Mapping[str, Any]:
    """Return the secret's JSON object."""
    try:
        values = json.loads(text or "")
    except ValueError:
        values = None
    if isinstance(values, dict):
        return values
    raise _unusable(
        secret,
        "its value is no JSON object",
        'Store it as RDS does: {"engine": "postgres", "host": …, "port": 5432, "username": …, "password": …}.',
    )


def _unusable(secret: str, why: str, hint: str) -> SettingsError:
    return SettingsError(f"the secret {secret} (chatdb:adminSecret) cannot be used", detail=why, hint=hint)
