"""Role names and the table of privileges."""

from __future__ import annotations

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
