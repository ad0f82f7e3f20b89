"""Role names and the table of privileges."""

from __future__ import annotations

import re

import pytest

from infra import naming, privileges, products

ALL = [products.load(name) for name in products.names()]


@pytest.mark.parametrize("product", ALL, ids=lambda product: product.name)
def test_every_name_fits_into_an_identifier(product: products.Product) -> None:
    """PostgreSQL cuts identifiers at 63 bytes, silently."""
    names = naming.role_names(product)
    for name in (names.owner, *names.logins.values(), *names.seconds.values(), product.database, *product.tables):
        assert len(name.encode()) <= 63


def test_no_two_products_share_a_role_or_a_database() -> None:
    """Roles and databases belong to the whole server."""
    roles = [
        name
        for product in ALL
        for names in (naming.role_names(product),)
        for name in (names.owner, *names.logins.values(), *names.seconds.values())
    ]
    databases = [product.database for product in ALL]
    assert len(set(roles)) == len(roles)
    assert len(set(databases)) == len(databases)


def test_the_service_of_futureguide_is_fg_user() -> None:
    """Its document says so, and its policies name it."""
    assert naming.role_names(products.load("futureguide")).app == "fg_user"


def test_a_stack_may_name_some_roles_otherwise_and_the_second_logins_follow() -> None:
    """What it does not name keeps the product's own name."""
    names = naming.role_names(products.load("lyra"), {"app": "lyra_service", "owner": "chat_owner"})
    assert names.by_kind == {
        "owner": "chat_owner",
        "migrator": "lyra_migrator",
        "app": "lyra_service",
        "readonly": "lyra_readonly",
    }
    assert names.seconds == {"app": "lyra_service_b", "readonly": "lyra_readonly_b"}


@pytest.mark.parametrize("product", ALL, ids=lambda product: product.name)
def test_a_product_says_which_of_its_roles_the_migrations_name(product: products.Product) -> None:
    """No stack may give those another name."""
    text = "".join(file.read_text() for file in product.migrations_folder.glob("*.sql"))
    words = set(re.findall(r"\w+", text))
    named = [kind for kind, name in naming.role_names(product).by_kind.items() if name in words]
    assert named == list(product.roles_in_migrations)


@pytest.mark.parametrize("product", ALL, ids=lambda product: product.name)
def test_the_table_of_privileges_covers_every_table_once_and_no_other(product: products.Product) -> None:
    """A table without a grant, or a grant without its table, is a mistake in the data."""
    granted = [table for grant in privileges.TABLES[product.name] for table in grant.tables if grant.role == "app"]
    assert sorted(granted) == sorted(product.tables)


def test_analytics_is_where_figures_are_without_content() -> None:
    """Two products have such a table; of each the role reads that one and nothing else, and the others have no role."""
    reads = {
        product.name: [
            (grant.tables, grant.privileges)
            for grant in privileges.table_grants(product.name, product.tables)
            if grant.role == "analytics"
        ]
        for product in ALL
        if naming.role_names(product).analytics
    }
    assert reads == {
        "futureguide": [(("usage_tracking",), ("SELECT",))],
        "storefront": [(("chat_analytics",), ("SELECT",))],
    }


@pytest.mark.parametrize("product", ALL, ids=lambda product: product.name)
def test_readonly_reads_every_table_and_changes_none(product: products.Product) -> None:
    """SELECT and nothing else."""
    grants = [grant for grant in privileges.table_grants(product.name, product.tables) if grant.role == "readonly"]
    assert [(grant.tables, grant.privileges) for grant in grants] == [(product.tables, ("SELECT",))]
