"""Schemas and grants of one product, as resources. Reads `infra.naming` and `infra.privileges`, decides nothing itself.

Called by `infra.database`. Grants that touch one object are chained by `depends_on`: in parallel they fail with
"tuple concurrently updated".
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from infra.access_resource import Access
from infra.naming import LEDGER_SCHEMA, RoleNames
from infra.privileges import default_grants, object_grants, table_grants
from infra.products import Product
from infra.roles import merged
from infra.server import Server
from infra.settings import StackSettings

# When this run began, as Unix time.
STARTED = time.time()


def declare_database_grants(
    product: Product, names: RoleNames, *, database: postgresql.Database, server: Server, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Declare what must stand before the first migration: CONNECT, USAGE and the default privileges.

    The schema `public` is, before PostgreSQL 15, the first superuser's: what another administrator grants or revokes
    there has no effect, and each update after a refresh would try in vain. Such a grant is made and then left to
    `infra.access_resource`, which puts right what can be and says whose the rest is.

    Returns:
        The grants in their order; the last one is what comes next waits for.
    """
    chain: list[pulumi.Resource] = []
    for grant in object_grants(names, product.schema):
        left = ["privileges"] if grant.schema == "public" and not server.superuser else None
        chain.append(
            postgresql.Grant(
                f"{product.name}-{'-'.join(filter(None, (grant.kind, grant.schema, grant.role)))}",
                database=database.name,
                role=grant.role,
                schema=grant.schema or None,
                object_type=grant.kind,
                privileges=list(grant.privileges),
                opts=merged(opts, depends_on=chain[-1:], ignore_changes=left),
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
                opts=merged(opts, depends_on=chain[-1:]),
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
                opts=merged(opts, depends_on=chain[-1:]),
            )
        )
    return chain


def declare_review(
    product: Product,
    names: RoleNames,
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
        roles=names.by_kind,
        audit_on_up=settings.audit_on_up,
        rotation=settings.rotation,
        opts=opts,
    )
    review.changes.apply(lambda changes: _say(product, changes, review))
    review.mended.apply(lambda found: _own_up(product, found, review))
    # A preview knows the findings of its own look, and what an update will leave it does not know.
    both = pulumi.Output.all(review.drift, review.findings)
    both.apply(lambda found: _warn(product, found, review), run_with_unknowns=True)
    return review


def _say(product: Product, changes: list[str] | None, review: Access) -> None:
    """Tell in a preview what changes for whom."""
    if changes and pulumi.runtime.is_dry_run():
        pulumi.log.info(f"{product.name}: " + "\n  ".join(changes), review)


def _own_up(product: Product, found: dict[str, Any] | None, review: Access) -> None:
    """Tell what this update put right: a login that somebody closed by hand is not opened in silence."""
    if found and found["at"] >= STARTED:
        for sentence in found["sentences"]:
            pulumi.log.warn(f"{product.name}: put right: {sentence}", review)


def _warn(product: Product, found: Sequence[Any], review: Access) -> None:
    """Warn of each right that nobody declared and of each finding of the baseline, with its mend; of none twice.

    Args:
        product: The product.
        found: The drift and the findings, each a list, or something else where there is none or it is not known.
        review: The resource that found them.
    """
    drift, findings = ([*part] if isinstance(part, list) else [] for part in found)
    said = {one["mend"] for one in drift} - {""}
    for one in (*drift, *(one for one in findings if one["mend"] not in said)):
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
