"""Find who looks at a database as a whole: the stack's administrator where this machine knows it, else the migrator.

For `chatdb access` and `chatdb audit`: the catalogue is open to all, but who has which password is for superusers. For
`chatdb backup` too: row security hides rows from all but who bypasses it.
"""

from __future__ import annotations

import argparse

from cli.context import server_of, stack_name, structured_setting
from cli.direct import direct
from cli.targets import resolve
from infra import products
from infra.connection import Target
from infra.naming import RoleNames, role_names
from infra.products import Product


def as_administrator(options: argparse.Namespace, product: str) -> Target:
    """Return a product's database as the administrator of the stack's embedded server; else as `resolve` does."""
    target = resolve(options, product)
    if direct(options) is not None:
        return target
    server = server_of(stack_name(options))
    return target if server is None else server.read().target(target.database)


def as_owner(stack: str, product: Product, engine: str = "auto") -> Target:
    """Return a product's database as the administrator acting as its owner; it needs no outputs of the stack.

    For what the application brings itself: its tables must stand before the first update can come to its end.
    """
    return administrator(stack, engine).to(database=product.database, role=names_in(stack, product).owner)


def names_in(stack: str, product: Product) -> RoleNames:
    """Return a product's roles as the file of a stack names them; it needs no outputs of the stack."""
    given: dict[str, dict[str, str]] = structured_setting(stack, "roleNames") or {}
    return role_names(product, given.get(product.name))


def administrator(stack: str, engine: str = "auto") -> Target:
    """Return the maintenance database of a stack's server as its administrator, whatever server it is."""
    server = server_of(stack)
    if server is not None:
        return server.read().target()
    from cli import stack_settings
    from cli.context import project
    from infra import address

    settings = stack_settings.load(stack, engine)
    found = address.address(settings, root=project())
    return Target(
        host=found.host,
        port=found.port,
        database=found.database,
        user=found.username,
        password=found.password,
        sslmode=found.ssl_mode,
        sslrootcert=products.in_project(found.ssl_root_cert),
        iam=settings.aws if settings.iam_authentication else None,
    )
