"""Generated passwords, one dynamic resource per login role.

The password is made once, when the resource is created, and again when `rotation` changes. It stays in the stack's
state as a secret. What is given to PostgreSQL is its SCRAM verifier, so that no plain password reaches a server's log.
Called by `infra.roles`. The class name `CredentialProvider` and this module's name stand in state: never rename them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource, UpdateResult

from infra.errors import SettingsError
from infra.provider import PlainErrorProvider, changed_keys

# 192 random bits, which no search gets through; URL-safe, so that it stands in a connection string as it is.
PASSWORD_BYTES = 24
# PostgreSQL's own default of scram_iterations.
SCRAM_ITERATIONS = 4096


def scram_verifier(password: str, *, salt: bytes, iterations: int = SCRAM_ITERATIONS) -> str:
    """Return what PostgreSQL stores for a password: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.

    Args:
        password: ASCII, so that SASLprep leaves it as it is.
        salt: 16 random bytes.
        iterations: Rounds of PBKDF2.

    Source: RFC 5803; https://www.postgresql.org/docs/18/catalog-pg-authid.html
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(part).decode("ascii") for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{texts[0]}${texts[1]}:{texts[2]}"


class CredentialProvider(PlainErrorProvider):
    """Makes a password and its verifier."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a rotation that goes back: the login that clients use now would lose its password, or go."""
        was, wanted = (int(props.get("rotation") or 1) for props in (_olds, news))
        if wanted >= was:
            return CheckResult(news, [])
        error = SettingsError(
            f"the rotation of {news['role']} goes back from {was} to {wanted}",
            detail="The passwords of an earlier rotation are gone; clients use those of this one.",
            hint="Set chatdb:rotation to what it was, or one higher for new passwords (`chatdb rotate`).",
            state="Nothing was changed.",
        )
        return CheckResult(news, [CheckFailure("rotation", str(error))])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Ask for a new password where the role or the rotation changed."""
        return DiffResult(changes=bool(changed_keys(_olds, _news, ("role", "rotation"))))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the first password."""
        return CreateResult(props["role"], self._generate(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Make the next one."""
        return UpdateResult(self._generate(_news))

    @staticmethod
    def _generate(props: dict[str, Any]) -> dict[str, Any]:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        verifier = scram_verifier(password, salt=secrets.token_bytes(16))
        return {"role": props["role"], "rotation": props["rotation"], "password": password, "verifier": verifier}


class Credential(Resource, module="chatdb", name="Credential"):
    """The password of one login role.

    Args:
        name: Name of the resource.
        role: The login role.
        rotation: A number; a higher one makes a new password.
        opts: Options of the resource.
    """

    password: pulumi.Output[str]
    verifier: pulumi.Output[str]

    def __init__(self, name: str, *, role: str, rotation: int = 1, opts: pulumi.ResourceOptions | None = None) -> None:
        props: dict[str, Any] = {"role": role, "rotation": rotation, "password": None, "verifier": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["password", "verifier"])
        super().__init__(CredentialProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
