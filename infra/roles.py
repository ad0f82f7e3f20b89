"""Roles of one product, as resources: who logs in, with which password, limits and timeouts, and who acts as whom.

Reads `infra.naming` and `infra.rotation`, decides nothing itself. Called by `infra.database`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from infra import rotation
from infra.credentials import Credential
from infra.naming import RoleNames
from infra.products import Product
from infra.role_settings import RoleSettings
from infra.rotation import Login
from infra.server import Server
from infra.settings import StackSettings

# The role of RDS whose members log in by IAM tokens alone.
IAM_ROLE = "rds_iam"


@dataclass(frozen=True)
class _Limits:
    """What a login may hold: connections at once, and milliseconds a statement."""

    connections: int
    statement_timeout: int


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The roles of a product and what they log in with.

    Attributes:
        names: Their names.
        owner: The owner; the database waits for it.
        current: The login that clients are given, by what it is for.
        credentials: The credential of each of them that has a password.
        logins: Every login, the former ones too, with its credential where it has a password.
        all: Every role and membership; the database is dropped before any of them.
    """

    names: RoleNames
    owner: postgresql.Role
    current: dict[str, str]
    credentials: dict[str, Credential]
    logins: dict[str, Credential | None]
    all: tuple[pulumi.Resource, ...]


def declare_roles(
    product: Product, names: RoleNames, *, server: Server, settings: StackSettings, opts: pulumi.ResourceOptions
) -> Roles:
    """Declare a product's roles and memberships.

    Args:
        product: The product.
        names: Its role names.
        server: Where they are made.
        settings: Limits, timeouts and rotation of the logins.
        opts: Parent, provider and protection that all of them share.
    """
    logins = rotation.logins(names, settings.rotation)
    # The credential of the service refuses what may not be changed: all else waits for it, so that nothing is touched.
    guarded = {"product": product.name, "roles": names.by_kind, "stackRotation": settings.rotation}
    first = next(login for login in logins if login.role == names.app)
    credentials = {names.app: _declare_credential(product, first, opts, guarded=guarded)}
    opts = merged(opts, depends_on=[credentials[names.app]])
    credentials |= {
        login.role: _declare_credential(product, login, opts)
        for login in logins
        if login != first and (login.role != names.migrator or not server.iam)
    }
    owner = postgresql.Role(f"{product.name}-owner", name=names.owner, login=False, opts=opts)
    roles = {names.owner: owner}
    for login in logins:
        acts_as = _acts_as(login, names, server)
        roles[login.role] = _declare_login(
            product,
            login,
            credentials.get(login.role),
            acts_as=acts_as,
            settings=settings,
            opts=merged(opts, depends_on=[roles[role] for role in acts_as if role in roles]),
        )
    memberships = [
        postgresql.GrantRole(
            f"{product.name}-migrator-acts-as-owner",
            role=names.migrator,
            grant_role=names.owner,
            opts=merged(opts, depends_on=[owner, roles[names.migrator]], deleted_with=roles[names.migrator]),
        )
    ]
    if not server.superuser:
        # From PostgreSQL 16 on, who makes a role may administer it but not act as it: the owner of a new database must.
        memberships.append(
            postgresql.GrantRole(
                f"{product.name}-administrator-acts-as-owner",
                role=server.username,
                grant_role=names.owner,
                # There the plugin reads the ADMIN that came with making the role, and would make this anew each time.
                opts=merged(
                    opts, depends_on=[owner, memberships[0]], deleted_with=owner, ignore_changes=["withAdminOption"]
                ),
            )
        )
    if server.iam:
        memberships.append(
            postgresql.GrantRole(
                f"{product.name}-migrator-logs-in-by-tokens",
                role=names.migrator,
                grant_role=IAM_ROLE,
                opts=merged(opts, depends_on=memberships, deleted_with=roles[names.migrator]),
            )
        )
    memberships += [
        postgresql.GrantRole(
            f"{product.name}-{login.label}-acts-as-{login.kind}",
            role=login.role,
            grant_role=login.base,
            opts=merged(opts, depends_on=[roles[login.base], roles[login.role]], deleted_with=roles[login.role]),
        )
        for login in logins
        if login.role != login.base
    ]
    serving = [login.role for login in logins if login.role != names.migrator]
    timeouts = {
        "lock_timeout": f"{settings.lock_timeout}ms",
        "transaction_timeout": f"{settings.transaction_timeout}ms",
    }
    role_settings = RoleSettings(
        f"{product.name}-role-settings",
        product=product.name,
        connection=server.administrator(),
        # What writers feel of an index that the migrator builds is its WAL: see `infra.migrations.gentle`.
        settings={**dict.fromkeys(serving, timeouts), names.migrator: {"wal_compression": "lz4"}},
        opts=pulumi.ResourceOptions(
            parent=opts.parent,
            depends_on=list(roles.values()),
            deleted_with=roles[names.app],
            protect=opts.protect,
            retain_on_delete=opts.retain_on_delete,
        ),
    )
    current = {login.kind: login.role for login in logins if login.current}
    return Roles(
        names=names,
        owner=owner,
        current=current,
        credentials={kind: credentials[role] for kind, role in current.items() if role in credentials},
        logins={login.role: credentials.get(login.role) for login in logins},
        all=(*roles.values(), *memberships, role_settings),
    )


def _acts_as(login: Login, names: RoleNames, server: Server) -> list[str]:
    """Return the roles that a login is a member of."""
    if login.role == names.migrator:
        return [names.owner, IAM_ROLE] if server.iam else [names.owner]
    return [login.base] if login.role != login.base else []


def _declare_credential(
    product: Product, login: Login, opts: pulumi.ResourceOptions, *, guarded: Mapping[str, Any] | None = None
) -> Credential:
    """Declare the password of a login; its generation makes a new one."""
    return Credential(
        f"{product.name}-{login.label}-credential",
        role=login.role,
        rotation=login.generation,
        guarded=guarded,
        opts=pulumi.ResourceOptions(
            parent=opts.parent, depends_on=opts.depends_on, retain_on_delete=opts.retain_on_delete, protect=opts.protect
        ),
    )


def _declare_login(
    product: Product,
    login: Login,
    credential: Credential | None,
    *,
    acts_as: list[str],
    settings: StackSettings,
    opts: pulumi.ResourceOptions,
) -> postgresql.Role:
    """Declare a login with its limits; a second login has those of its base, as settings are not inherited."""
    limits = {
        "app": _Limits(settings.app_connection_limit, settings.app_statement_timeout),
        "readonly": _Limits(settings.readonly_connection_limit, settings.readonly_statement_timeout),
        "analytics": _Limits(settings.analytics_connection_limit, settings.analytics_statement_timeout),
    }
    # The migrator has no limits: an index on a large table takes its time, and the runner sets its own budgets.
    limited = limits.get(login.kind)
    return postgresql.Role(
        f"{product.name}-{login.label}",
        name=login.role,
        login=True,
        password=credential.verifier if credential else None,
        # A function or operator of another schema never stands in for ours.
        search_paths=[product.schema],
        connection_limit=limited.connections if limited else None,
        statement_timeout=limited.statement_timeout if limited else None,
        idle_in_transaction_session_timeout=settings.idle_in_transaction_timeout if limited else None,
        # Each change of a role has the plugin revoke every membership that is not listed here, GrantRole's too.
        roles=acts_as,
        opts=opts,
    )


def merged(opts: pulumi.ResourceOptions, **changes: object) -> pulumi.ResourceOptions:
    """Return the options with some added; what both depend on is joined."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(**changes))  # type: ignore[arg-type]
