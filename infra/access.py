"""Roles and grants of one product, as resources. Reads `infra.naming` and `infra.privileges`, decides nothing itself.

Called by `infra.database`. Grants that touch one object are chained by `depends_on`: in parallel they fail with
"tuple concurrently updated".
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_postgresql as postgresql

from infra.access_resource import Access
from infra.credentials import Credential
from infra.naming import LEDGER_SCHEMA, RoleNames
from infra.privileges import default_grants, object_grants, table_grants
from infra.products import Product
from infra.role_settings import RoleSettings
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
        logins: Each login, by what the role is for.
        credentials: The credential of each login that has a password.
        all: Every role and membership; the database is dropped before any of them.
    """

    names: RoleNames
    owner: postgresql.Role
    logins: dict[str, postgresql.Role]
    credentials: dict[str, Credential]
    all: tuple[pulumi.Resource, ...]


def declare_roles(
    product: Product, names: RoleNames, *, server: Server, settings: StackSettings, opts: pulumi.ResourceOptions
) -> Roles:
    """Declare a product's roles and memberships.

    Args:
        product: The product.
        names: Its role names.
        server: Where they are made.
        settings: Limits and timeouts of the logins.
        opts: Parent, provider and protection that all of them share.
    """
    # The migrator has none: an index on a large table takes its time, and the runner sets its own budgets.
    limits = {
        "app": _Limits(settings.app_connection_limit, settings.app_statement_timeout),
        "readonly": _Limits(settings.readonly_connection_limit, settings.readonly_statement_timeout),
        "analytics": _Limits(settings.analytics_connection_limit, settings.analytics_statement_timeout),
    }
    owner = postgresql.Role(f"{product.name}-owner", name=names.owner, login=False, opts=opts)
    credentials: dict[str, Credential] = {}
    logins: dict[str, postgresql.Role] = {}
    for kind, name in names.logins.items():
        if kind != "migrator" or not server.iam:
            credentials[kind] = Credential(
                f"{product.name}-{kind}-credential",
                role=name,
                opts=pulumi.ResourceOptions(
                    parent=opts.parent, retain_on_delete=opts.retain_on_delete, protect=opts.protect
                ),
            )
        limited = limits.get(kind)
        logins[kind] = postgresql.Role(
            f"{product.name}-{kind}",
            name=name,
            login=True,
            password=credentials[kind].verifier if kind in credentials else None,
            # A function or operator of another schema never stands in for ours.
            search_paths=[product.schema],
            connection_limit=limited.connections if limited else None,
            statement_timeout=limited.statement_timeout if limited else None,
            idle_in_transaction_session_timeout=settings.idle_in_transaction_timeout if limited else None,
            # A refresh fills `roles` with what GrantRole granted, and the next update would revoke it again.
            opts=_with(opts, ignore_changes=["roles"]),
        )
    memberships = [
        postgresql.GrantRole(
            f"{product.name}-migrator-acts-as-owner",
            role=names.migrator,
            grant_role=names.owner,
            opts=_with(opts, depends_on=[owner, logins["migrator"]], deleted_with=logins["migrator"]),
        )
    ]
    if not server.superuser:
        # From PostgreSQL 16 on, who makes a role may administer it but not act as it: the owner of a new database must.
        memberships.append(
            postgresql.GrantRole(
                f"{product.name}-administrator-acts-as-owner",
                role=server.username,
                grant_role=names.owner,
                opts=_with(opts, depends_on=[owner, memberships[0]], deleted_with=owner),
            )
        )
    if server.iam:
        memberships.append(
            postgresql.GrantRole(
                f"{product.name}-migrator-logs-in-by-tokens",
                role=names.migrator,
                grant_role=IAM_ROLE,
                opts=_with(opts, depends_on=memberships, deleted_with=logins["migrator"]),
            )
        )
    timeouts = {
        "lock_timeout": f"{settings.lock_timeout}ms",
        "transaction_timeout": f"{settings.transaction_timeout}ms",
    }
    role_settings = RoleSettings(
        f"{product.name}-role-settings",
        product=product.name,
        connection=server.administrator(),
        settings=dict.fromkeys(names.serving.values(), timeouts),
        opts=pulumi.ResourceOptions(
            parent=opts.parent,
            depends_on=[logins[kind] for kind in names.serving],
            deleted_with=logins["app"],
            protect=opts.protect,
            retain_on_delete=opts.retain_on_delete,
        ),
    )
    everything = (owner, *logins.values(), *memberships, role_settings)
    return Roles(names=names, owner=owner, logins=logins, credentials=credentials, all=everything)


def declare_database_grants(
    product: Product, names: RoleNames, *, database: postgresql.Database, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Declare what must stand before the first migration: CONNECT, USAGE and the default privileges.

    Returns:
        The grants in their order; the last one is what comes next waits for.
    """
    chain: list[pulumi.Resource] = []
    for grant in object_grants(names, product.schema):
        chain.append(
            postgresql.Grant(
                f"{product.name}-{'-'.join(filter(None, (grant.kind, grant.schema, grant.role)))}",
                database=database.name,
                role=grant.role,
                schema=grant.schema or None,
                object_type=grant.kind,
                privileges=list(grant.privileges),
                opts=_with(opts, depends_on=chain[-1:]),
            )
        )
    for default in default_grants(names, product.schema):
        chain.append(
            postgresql.DefaultPrivileges(
                f"{product.name}-new-{default.kind}s-{default.role}",
                database=database.name,
                owner=names.owner,
                role=default.role,
                schema=default.schema or None,
                object_type=default.kind,
                privileges=list(default.privileges),
                opts=_with(opts, depends_on=chain[-1:]),
            )
        )
    return chain


def declare_table_grants(
    product: Product, names: RoleNames, *, database: postgresql.Database, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Declare the privileges on the tables that the migrations made; `opts` waits for those."""
    chain: list[pulumi.Resource] = []
    for grant in table_grants(product.name, product.tables):
        role = names.logins[grant.role]
        chain.append(
            postgresql.Grant(
                f"{product.name}-{'-'.join(grant.tables)}-{role}",
                database=database.name,
                role=role,
                schema=product.schema,
                object_type="table",
                objects=list(grant.tables),
                privileges=list(grant.privileges),
                opts=_with(opts, depends_on=chain[-1:]),
            )
        )
    return chain


def declare_review(
    product: Product,
    *,
    database: postgresql.Database,
    server: Server,
    settings: StackSettings,
    opts: pulumi.ResourceOptions,
) -> Access:
    """Declare the look at all of it, which a preview shows in words; `opts` waits for every grant."""
    review = Access(
        f"{product.name}-access",
        product=product.name,
        connection={**server.administrator(), "database": database.name},
        audit_on_up=settings.audit_on_up,
        opts=opts,
    )
    review.changes.apply(lambda changes: _say(product, changes, review))
    review.drift.apply(lambda drift: _warn(product, drift, review))
    review.findings.apply(lambda findings: _warn(product, findings, review))
    return review


def _say(product: Product, changes: list[str] | None, review: Access) -> None:
    """Tell in a preview what changes for whom."""
    if changes and pulumi.runtime.is_dry_run():
        pulumi.log.info(f"{product.name}: " + "\n  ".join(changes), review)


def _warn(product: Product, found: list[dict[str, str]] | None, review: Access) -> None:
    """Warn of each right that nobody declared and of each finding of the baseline, with its mend."""
    for one in found or ():
        what = one.get("sentence") or f"{one['rule']}: {one['object']}: {one['detail']}"
        reason = f" ({one['reason']})" if "reason" in one else ""
        mend = f"; mend: {one['mend']}" if one["mend"] else ""
        pulumi.log.warn(f"{product.name}: {what}{reason}{mend}", review)


def declare_schemas(
    product: Product, names: RoleNames, *, database: postgresql.Database, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Declare the schema of the ledger and, where it is not `public`, the product's own."""
    wanted = [LEDGER_SCHEMA] if product.schema == "public" else [LEDGER_SCHEMA, product.schema]
    return [
        postgresql.Schema(
            f"{product.name}-schema-{schema}",
            database=database.name,
            name=schema,
            owner=names.owner,
            if_not_exists=True,
            opts=opts,
        )
        for schema in wanted
    ]


def _with(opts: pulumi.ResourceOptions, **changes: object) -> pulumi.ResourceOptions:
    """Return the options with some added; what both depend on is joined."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(**changes))  # type: ignore[arg-type]
