"""Generated passwords, one dynamic resource per login role.

The password is made once, when the resource is created, and again when `rotation` changes. It stays in the stack's
state as a secret. What is given to PostgreSQL is its SCRAM verifier, so that no plain password reaches a server's log.
Every role of a product waits for its service's, so that one refuses what no update may do: go back or jump in the
rotation, and name a standing product's roles anew. Called by `infra.roles`. The class name `CredentialProvider` and
this module's name stand in state: never rename them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource, UpdateResult

from infra import products
from infra.errors import SettingsError
from infra.naming import role_names
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
        """Refuse what would lock clients out."""
        guards = _olds and "stackRotation" in news
        refused = {"rotation": _rotated(_olds, news), "roles": _renamed(_olds, news)} if guards else {}
        return CheckResult(news, [CheckFailure(key, str(error)) for key, error in refused.items() if error])

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


def _rotated(olds: Mapping[str, Any], news: Mapping[str, Any]) -> SettingsError | None:
    """Return why the stack's rotation may not become what is wanted: the login in use would lose its password."""
    was, wanted = (int(props.get("stackRotation") or 0) for props in (olds, news))
    if not was or was <= wanted <= was + 1:
        return None
    goes = "goes back" if wanted < was else "jumps"
    gone = "The passwords of an earlier rotation are gone; clients use those of this one."
    ended = "Each rotation ends the passwords of the one before the last: two at once would end those in use."
    return SettingsError(
        f"chatdb:rotation {goes} from {was} to {wanted}",
        detail=gone if wanted < was else ended,
        hint=f"Set chatdb:rotation to {was}, or to {was + 1} for new passwords (`chatdb rotate`).",
    )


def _renamed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> SettingsError | None:
    """Return why a standing product's roles keep their names.

    Pulumi renames a role where it stands, but makes its grants and memberships anew and takes the former ones, by the
    name that is gone then, away last: such an update fails half-way, after every client has lost its login.
    """
    product = products.load(news["product"])
    # A state from before the setting has the product's own names.
    before = olds.get("roles") or role_names(product).by_kind
    wanted: dict[str, str] = news["roles"]
    others = {kind: name for kind, name in wanted.items() if before.get(kind, name) != name}
    changed = [f"{kind} is {before[kind]}, not {name}" for kind, name in others.items()]
    if not changed:
        return None
    return SettingsError(
        f"the roles of {product.name} stand under other names: {'; '.join(changed)}",
        detail="An update would take the logins from clients that use them; names hold from the first update on.",
        hint=f"Set chatdb:roleNames for {product.name} to what it was. Other names are for a product that is made anew:"
        " take it out of the stack, then add it with them.",
    )


class Credential(Resource, module="chatdb", name="Credential"):
    """The password of one login role.

    Args:
        name: Name of the resource.
        role: The login role.
        rotation: A number; a higher one makes a new password.
        guarded: What may not change as it likes: `product`, its `roles` by what they are for, `stackRotation`; for the
            one credential of a product that all else waits for.
        opts: Options of the resource.
    """

    password: pulumi.Output[str]
    verifier: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        role: str,
        rotation: int,
        guarded: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        made = {"password": None, "verifier": None}
        props: dict[str, Any] = {"role": role, "rotation": rotation, **(guarded or {}), **made}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["password", "verifier"])
        super().__init__(CredentialProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
