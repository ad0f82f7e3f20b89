"""One product's database as a component: roles, database, schemas, grants, migrations, in one graph.

Called by `__main__`, once per product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from infra.grants import declare_database_grants, declare_review, declare_schemas, declare_table_grants
from infra.migrations import directory
from infra.migrations.resource import Migrations
from infra.naming import role_names
from infra.products import Product
from infra.published import PublishedCredential
from infra.roles import Roles, declare_roles
from infra.server import Server
from infra.settings import StackSettings
from infra.teardown import Teardown


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a product's database is made from."""

    product: Product
    server: Server
    settings: StackSettings
    promotion_override: str = ""


class ChatDatabase(pulumi.ComponentResource):
    """The database of one chat product with everything in it.

    Attributes:
        summary: Version, digest, database and role names; no secret.
        release: What was verified last, for a stack that takes from this one; no secret.
        connections: By what a login is for, the user and password of the current one; a secret.
        audit: How many rules of the security baseline were asked and how many findings there are, after all the rest.
    """

    summary: pulumi.Output[dict[str, Any]]
    release: pulumi.Output[dict[str, Any]]
    audit: pulumi.Output[dict[str, Any]]
    connections: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, arguments: Arguments, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("chatdb:index:ChatDatabase", name, None, opts)
        product, server, settings = arguments.product, arguments.server, arguments.settings
        names = role_names(product, settings.role_names.get(product.name))
        kept = settings.on_destroy == "keep"
        guarded = settings.protected and not settings.destroy_confirmation
        shared = pulumi.ResourceOptions(
            parent=self, provider=server.provider, protect=guarded or None, retain_on_delete=kept or None
        )

        roles = declare_roles(product, names, server=server, settings=settings, opts=shared)
        database = postgresql.Database(
            f"{product.name}-database",
            name=product.database,
            owner=names.owner,
            template="template0",
            encoding="UTF8",
            opts=pulumi.ResourceOptions.merge(
                shared, pulumi.ResourceOptions(depends_on=list(roles.all), delete_before_replace=True)
            ),
        )
        inside = pulumi.ResourceOptions.merge(
            shared, pulumi.ResourceOptions(deleted_with=database, depends_on=[database])
        )
        schemas = declare_schemas(product, names, database=database, opts=inside)
        grants = declare_database_grants(product, names, database=database, server=server, opts=_after(inside, schemas))
        migrations = Migrations(
            f"{product.name}-migrations",
            product=product.name,
            migrations=directory.read(product.migrations_folder),
            host=server.host,
            port=server.port,
            database=database.name,
            user=names.migrator,
            password=roles.credentials["migrator"].password if "migrator" in roles.credentials else "",
            tokens=server.tokens(),
            owner=names.owner,
            ssl_mode=server.ssl_mode,
            ssl_root_cert=server.ssl_root_cert,
            stand_ins=settings.stand_ins,
            adopt=settings.adopt,
            stack=pulumi.get_stack(),
            promotion_override=arguments.promotion_override,
            opts=pulumi.ResourceOptions(
                parent=self,
                deleted_with=database,
                depends_on=grants,
                protect=shared.protect,
                retain_on_delete=shared.retain_on_delete,
            ),
        )
        table_grants = declare_table_grants(product, names, database=database, opts=_after(inside, [migrations]))
        review = declare_review(
            product,
            names,
            database=database,
            server=server,
            settings=settings,
            opts=pulumi.ResourceOptions(
                parent=self,
                deleted_with=database,
                depends_on=[*roles.all, *grants, migrations, *table_grants],
                protect=shared.protect,
                retain_on_delete=shared.retain_on_delete,
            ),
        )
        published = _publish(product, roles, server=server, settings=settings, opts=shared)
        _guard(
            product,
            roles,
            database=database,
            server=server,
            settings=settings,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*roles.all, *grants, migrations, *table_grants, review, *published.values()],
                protect=shared.protect,
            ),
        )
        secrets = {kind: secret.arn for kind, secret in published.items()}
        self.summary = pulumi.Output.from_input(
            {
                "version": migrations.version,
                "digest": migrations.digest,
                "database": database.name,
                "roles": names.by_kind,
                **({"secrets": secrets} if secrets else {}),
            }
        )
        self.release = pulumi.Output.all(migrations.release, review.audit).apply(
            lambda facts: {**facts[0], "audit": facts[1]} if facts[0] else facts[0]
        )
        self.connections = pulumi.Output.from_input(
            {
                kind: {"user": user, "password": roles.credentials[kind].password}
                if kind in roles.credentials
                else {"user": user, **server.tokens()}
                for kind, user in roles.current.items()
            }
        )
        self.audit = review.audit
        self.register_outputs({"summary": self.summary})


def _guard(
    product: Product,
    roles: Roles,
    *,
    database: postgresql.Database,
    server: Server,
    settings: StackSettings,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare what stands before the data: it goes first, and lets go only of what a backup holds."""
    Teardown(
        f"{product.name}-teardown",
        product=product.name,
        stack=pulumi.get_stack(),
        connection=server.administrator(),
        database=database.name,
        owner=roles.names.owner,
        logins={name: credential.verifier if credential else "" for name, credential in roles.logins.items()},
        protected=settings.protected,
        on_destroy=settings.on_destroy,
        confirmation=settings.destroy_confirmation,
        backup_to=settings.backup_to,
        aws=settings.aws.as_dict(),
        opts=opts,
    )


def _publish(
    product: Product, roles: Roles, *, server: Server, settings: StackSettings, opts: pulumi.ResourceOptions
) -> dict[str, PublishedCredential]:
    """Declare a secret of AWS for each login that has a password, by what it is for; none where nothing is published.

    It is never retained: where the data is kept, the logins are closed, and what it holds opens nothing any more.
    """
    if not settings.publish_credentials:
        return {}
    prefix = settings.secret_prefix or f"chatdb/{pulumi.get_stack()}"
    return {
        kind: PublishedCredential(
            f"{product.name}-{kind}-secret",
            secret=f"{prefix}/{roles.names.logins[kind]}",
            stack=pulumi.get_stack(),
            access=settings.aws,
            value={
                "engine": "postgres",
                "host": server.host,
                "port": server.port,
                "username": roles.current[kind],
                "password": credential.password,
                "dbname": product.database,
                **({"masterarn": server.secret_arn} if server.secret_arn else {}),
            },
            recovery_days=settings.secret_recovery_days,
            opts=pulumi.ResourceOptions(parent=opts.parent, depends_on=list(roles.all), protect=opts.protect),
        )
        for kind, credential in roles.credentials.items()
    }


def _after(opts: pulumi.ResourceOptions, resources: list[pulumi.Resource]) -> pulumi.ResourceOptions:
    """Return the options with something more to wait for."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=resources))
