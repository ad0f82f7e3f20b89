"""Roles of one product, as resources: who logs in, with which password, limits and timeouts, and who acts as whom.

Reads `infra.naming` and `infra.rotation`, decides nothing itself. Called by `infra.database`.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    owner = postgresql.Role(f"{product.name}-owner", name=names.owner, login=False, opts=opts)
    logins = rotation.logins(names, settings.rotation)
    credentials = {
        login.role: _declare_credential(product, login, opts)
        for login in logins
        if login.role != names.migrator or not server.iam
    }
    roles = {
        login.role: _declare_login(product, login, credentials.get(login.role), settings=settings, opts=opts)
        for login in logins
    }
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
                opts=merged(opts, depends_on=[owner, memberships[0]], deleted_with=owner),
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
        settings=dict.fromkeys(serving, timeouts),
        opts=pulumi.ResourceOptions(
            parent=opts.parent,
            depends_on=[roles[role] for role in serving],
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
        all=(owner, *roles.values(), *memberships, role_settings),
    )


def _declare_credential(product: Product, login: Login, opts: pulumi.ResourceOptions) -> Credential:
    """Declare the password of a login; its generation makes a new one."""
    return Credential(
        f"{product.name}-{login.label}-credential",
        role=login.role,
        rotation=login.generation,
        opts=pulumi.ResourceOptions(parent=opts.parent, retain_on_delete=opts.retain_on_delete, protect=opts.protect),
    )


def _declare_login(
    product: Product,
    login: Login,
    credential: Credential | None,
    *,
    settings: StackSettings,
    opts: pulumi.ResourceOptions,
) -> postgresql.Role:
    """Declare a login with its limits; a second login has those of its base, as settings are not inherited."""
    limits = {
        "app": _Limits(settings.app_connection_limit, settings.app_statement_timeout),
        "readonly": _Limits(settings.readonly_connection_limit, settings.readonly_statement_timeout),
        "analytics": _Limits(settings.analytics_connection_limit, settings.analytics_statement_timeout),
    }
    # The migrator has none: an index on a large table takes its time, and the runner sets its own budgets.
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
        # A refresh fills `roles` with what GrantRole granted, and the next update would revoke it again.
        opts=merged(opts, ignore_changes=["roles"]),
    )


def merged(opts: pulumi.ResourceOptions, **changes: object) -> pulumi.ResourceOptions:
    """Return the options with some added; what both depend on is joined."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(**changes))  # type: ignore[arg-type]
