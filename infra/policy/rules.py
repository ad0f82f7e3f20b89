"""The policies of this project. Pure functions over resources and a stack's marks.

Each rule has a name, a level and a reason; `violations` asks all of them. Types and properties are those of
pulumi-postgresql and of the dynamic resources in `infra`.

Source: https://www.pulumi.com/registry/packages/postgresql/api-docs/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from infra.migrations import filename
from infra.migrations.errors import MigrationError
from infra.migrations.model import Migration
from infra.policy.destruction import approval, destructive
from infra.policy.model import Finding, Resource, Rule, Stack, Violation

PROVIDER = "pulumi:providers:postgresql"
ROLE = "postgresql:index/role:Role"
DATABASE = "postgresql:index/database:Database"
GRANTS = ("postgresql:index/grant:Grant", "postgresql:index/defaultPrivileges:DefaultPrivileges")
MEMBERSHIP = "postgresql:index/grantRole:GrantRole"
# Attributes of a role that make it a kind of administrator, and PostgreSQL's words for them.
ADMINISTRATIVE = {
    "superuser": "SUPERUSER",
    "createRole": "CREATEROLE",
    "createDatabase": "CREATEDB",
    "replication": "REPLICATION",
    "bypassRowLevelSecurity": "BYPASSRLS",
}
ENCRYPTED = ("require", "verify-ca", "verify-full")
VERIFIED = "verify-full"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def violations(resources: Iterable[Resource], stack: Stack) -> list[Violation]:
    """Return every rule that a resource breaks, in the order of the resources."""
    return [
        Violation(rule, resource, finding)
        for resource in resources
        for rule in RULES
        for finding in rule.check(resource, stack)
    ]


def _administrative_roles(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    if resource.type == ROLE:
        for key, word in ADMINISTRATIVE.items():
            if _truth(resource.properties.get(key)):
                yield Finding(f"the role is {word}", f"Leave {key} out; a role here serves one product.")


def _grants_to_public(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    properties = resource.properties
    if str(properties.get("role", "")).lower() != "public":
        return
    given = [name for name in properties.get("privileges") or () if not _is_postgresql_own(name, resource)]
    if resource.type in GRANTS and given:
        what = f"{', '.join(given)} on {properties.get('objectType', 'an object')} goes to PUBLIC"
        yield Finding(what, "Grant it to the role that needs it, in infra/privileges.py.")
    if resource.type == MEMBERSHIP:
        yield Finding("everyone becomes a member", "Name the role that is to be a member.")


def _is_postgresql_own(privilege: str, resource: Resource) -> bool:
    """Tell whether a grant leaves PUBLIC what it has on every server: one of USAGE alone takes CREATE away.

    CREATE, which it has before PostgreSQL 15, passes where it is what was found there and not what is asked for.
    """
    own = ("USAGE", "CREATE") if "privileges" in resource.ignored else ("USAGE",)
    where = (resource.properties.get("objectType"), resource.properties.get("schema"))
    return privilege in own and where == ("schema", "public")


def _unprotected_databases(resource: Resource, stack: Stack) -> Iterator[Finding]:
    allowed = stack.destroy_confirmation == f"DESTROY {stack.name}"
    if stack.production and resource.type == DATABASE and not resource.protect and not allowed:
        yield Finding("the database is not protected", "Set chatdb:onDestroy to keep.")


def _without_tls(resource: Resource, stack: Stack) -> Iterator[Finding]:
    mode = _leaving_mode(resource, stack)
    if mode is not None and mode not in ENCRYPTED:
        yield Finding(f"it connects with sslmode {mode}", "Set chatdb:sslMode to verify-full, or at least to require.")


def _unverified_tls(resource: Resource, stack: Stack) -> Iterator[Finding]:
    # Said once, of the provider: every other connection of a stack has the same mode.
    if resource.type == PROVIDER and _leaving_mode(resource, stack) in ("require", "verify-ca"):
        mode = resource.properties["sslmode"]
        yield Finding(f"sslmode {mode} does not check the server's name", _HOW_TO_VERIFY)


_HOW_TO_VERIFY = "Set chatdb:sslMode to verify-full and chatdb:sslRootCert to the CA's file."


def _plain_secrets(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    if resource.secret is not None:
        for key in secrets_of(resource):
            if key not in resource.secret:
                yield Finding(f"{key} is not a secret", "Pass it as pulumi.Output.secret(…), or set it with --secret.")


def secrets_of(resource: Resource) -> list[str]:
    """Return the properties of a resource that must be secrets, by their names: passwords and verifiers."""
    return [
        key
        for key, value in resource.properties.items()
        if (key.lower().endswith(("password", "passphrase")) or key in ("verifier", "token"))
        and isinstance(value, str)
        and value
    ]


def _stand_ins(resource: Resource, stack: Stack) -> Iterator[Finding]:
    if stack.production and _truth(resource.properties.get("standIns")):
        what = "stand-ins would be made for the application's tables"
        yield Finding(what, "Set chatdb:standIns to false, and let the application make its own tables.")


def _unapproved_destruction(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    for migration in _pending(resource):
        found = destructive(migration)
        if found and approval(migration) is None:
            hint = "Have it reviewed, and write above `-- migrate:up`: -- approved: who, why"
            yield Finding(f"{migration.name} {', '.join(found)} without an approval", hint)


def _pending(resource: Resource) -> list[Migration]:
    """Return the migrations that an update would apply; all of them where it is not known which."""
    files = resource.properties.get("migrations")
    if not isinstance(files, dict) or "/chatdb:Migrations" not in resource.type:
        return []
    names = resource.properties.get("pending", list(files))
    found = []
    for name in names:
        try:
            found.append(filename.parse(f"{name}.sql", "\n".join(files[name])))
        except (MigrationError, KeyError, TypeError):
            continue  # the resource's own check names what is wrong with a file
    return found


def _leaving_mode(resource: Resource, stack: Stack) -> str | None:
    """Return the sslmode of a connection that leaves the machine of a production stack; None for all else."""
    properties = resource.properties
    mode = properties.get("sslmode") if resource.type == PROVIDER else properties.get("sslMode")
    host = str(properties.get("host", ""))
    is_local = host in LOOPBACK or host.startswith("/")
    return str(mode) if stack.production and mode is not None and not is_local else None


def _truth(value: Any) -> bool:
    """Return a boolean as resources and, in text, providers have it."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


RULES: tuple[Rule, ...] = (
    Rule(
        "no-superuser-like-roles",
        "mandatory",
        "A role that serves a product must not be able to give itself more than it was given.",
        _administrative_roles,
    ),
    Rule(
        "no-grant-to-public",
        "mandatory",
        "PUBLIC is every role there will ever be, on a shared server those of other teams too.",
        _grants_to_public,
    ),
    Rule(
        "protected-databases-in-production",
        "mandatory",
        "What is not protected goes with one destroy, or with a product that left the settings.",
        _unprotected_databases,
    ),
    Rule(
        "tls-in-production",
        "mandatory",
        "Without TLS the rows and the login can be read on the way; a connection on this machine does not leave it.",
        _without_tls,
    ),
    Rule(
        "verified-tls-in-production",
        "advisory",
        "TLS alone does not say who answers: another server in the way could.",
        _unverified_tls,
    ),
    Rule(
        "secrets-are-secret",
        "mandatory",
        "What is no secret to Pulumi stands in its state, its exports and its previews in plain text.",
        _plain_secrets,
    ),
    Rule(
        "no-stand-ins-in-production",
        "mandatory",
        "A stand-in hides that the application's own table is missing.",
        _stand_ins,
    ),
    Rule(
        "approved-destruction",
        "mandatory",
        "Rows that a migration takes away come back from a backup only.",
        _unapproved_destruction,
    ),
)
