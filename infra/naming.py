"""Name roles and resources. Pure.

One place decides every name, so that grants, migrations and messages agree: a stack's setting `roleNames`, and where
that says nothing the product's own. PostgreSQL cuts identifiers at 63 bytes; a product's name is short enough (a test
asserts it), and the setting's are checked by `infra.settings.roles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.privileges import tables_of
from infra.products import Product

LEDGER_SCHEMA = "chatdb"


@dataclass(frozen=True, kw_only=True)
class RoleNames:
    """The roles of one product.

    Attributes:
        owner: Owns the database, its schemas and every object; cannot log in.
        migrator: Logs in to apply DDL and acts as the owner.
        app: The product's service.
        readonly: People and tools that look and change nothing.
        analytics: Tools that read figures and no content; empty where the product has no such table.
    """

    owner: str
    migrator: str
    app: str
    readonly: str
    analytics: str = ""

    @property
    def by_kind(self) -> dict[str, str]:
        """Every role by what it is for, as a stack's outputs have them."""
        return {"owner": self.owner, **self.logins}

    @property
    def logins(self) -> dict[str, str]:
        """The roles that log in, by what they are for."""
        return {"migrator": self.migrator, **self.serving}

    @property
    def serving(self) -> dict[str, str]:
        """The logins that act for themselves, by what they are for; the migrator acts as the owner."""
        analytics = {"analytics": self.analytics} if self.analytics else {}
        return {"app": self.app, "readonly": self.readonly, **analytics}

    @property
    def seconds(self) -> dict[str, str]:
        """The second login of each that serves: from the second rotation on, a member of the first."""
        return {kind: f"{name}_b" for kind, name in self.serving.items()}


def role_names(product: Product, given: Mapping[str, str] | None = None) -> RoleNames:
    """Return the role names of a product.

    Args:
        product: The product.
        given: Names that stand in for the product's own, by what a role is for; all of them or a few.
    """
    default = RoleNames(
        owner=f"{product.name}_owner",
        migrator=f"{product.name}_migrator",
        app=product.app_role,
        readonly=f"{product.name}_readonly",
        analytics=f"{product.name}_analytics" if tables_of(product.name, "analytics") else "",
    )
    return replace(default, **given) if given else default
