"""What the setting `roleNames` may not say. Pure; called by `infra.settings.rules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra import products
from infra.naming import role_names

if TYPE_CHECKING:
    from infra.settings.model import StackSettings

# PostgreSQL takes neither, quoted or not: https://www.postgresql.org/docs/18/sql-createrole.html
RESERVED = ("none", "public")
RESERVED_PREFIX = "pg_"


def role_mistakes(settings: StackSettings) -> list[str]:
    """Return what is wrong with the names that stand in for the products' own, a line each."""
    known = products.names()
    mistakes = []
    for name, given in settings.role_names.items():
        if name in known:
            mistakes += [f"roleNames: {name}.{line}" for line in _of_product(products.load(name), given)]
        else:
            mistakes.append(f"roleNames: there is no product {name!r}; known: {', '.join(known)}")
    return mistakes or _clashes(settings)


def _of_product(product: products.Product, given: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the names of one product's roles."""
    usual = role_names(product).by_kind
    lines = []
    for kind, role in given.items():
        if kind not in usual:
            lines.append(f"{kind}: there is no such role; there are {', '.join(usual)}")
        elif kind in product.roles_in_migrations and role != usual[kind]:
            lines.append(f"{kind}: is {role}, and the product's migrations name {usual[kind]}; leave it out")
        elif role in RESERVED or role.startswith(RESERVED_PREFIX):
            lines.append(f"{kind}: {role} is PostgreSQL's own; for example {usual[kind]}")
    return lines


def _clashes(settings: StackSettings) -> list[str]:
    """Return each name that would be two roles: roles belong to the whole server."""
    takers: dict[str, list[str]] = {settings.username: ["the administrator"]} if settings.username else {}
    for name in sorted({*settings.products} & {*products.names()}):
        names = role_names(products.load(name), settings.role_names.get(name))
        for kind, role in names.by_kind.items():
            takers.setdefault(role, []).append(f"{name}.{kind}")
        for kind, role in names.seconds.items():
            takers.setdefault(role, []).append(f"the second login of {name}.{kind}")
    return [
        f"roleNames: {role} would be {' and '.join(who)}; give each a name of its own"
        for role, who in takers.items()
        if len(who) > 1
    ]
