"""Find what a product's roles are called, for `chatdb access` and `chatdb audit`: no catalogue tells which is which.

A stack says it, by its outputs or, beside a connection string, by its file; `--roles` says it where there is none.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import psycopg

from cli.administration import names_in
from cli.context import DEFAULT_STACK
from cli.direct import direct
from cli.targets import finished_outputs
from infra import products
from infra.errors import RefusedError, unknown_name
from infra.naming import RoleNames, role_names

OWNER_AND_MISSING = """
    SELECT pg_get_userbyid(datdba), ARRAY(SELECT unnest(%s::text[]) EXCEPT SELECT rolname FROM pg_roles)
    FROM pg_database WHERE datname = current_database()"""


def names_of(options: argparse.Namespace) -> dict[str, RoleNames]:
    """Return the roles of each product that the command is about, as its stack or `--roles` names them.

    Raises:
        ChatdbError: the stack is not up, or was never up as a whole.
        UnknownNameError: `--roles` names a kind of role that the product does not have.
    """
    if direct(options) is None:
        found = finished_outputs(options.stack or DEFAULT_STACK, options)["products"]
        names = {name: RoleNames(**facts["roles"]) for name, facts in found.items()}
    elif not options.product:
        return {}  # `cli.targets.require` refuses it
    else:
        product = products.load(options.product)
        names = {product.name: names_in(options.stack, product) if options.stack else role_names(product)}
    return {name: _given(name, one, options.roles) for name, one in names.items()}


def require_standing(
    connection: psycopg.Connection[Any], options: argparse.Namespace, product: str, names: RoleNames
) -> None:
    """Return where somebody said what each role is called, or one of the product's own name stands.

    Raises:
        ChatdbError: nobody said it, and some do not stand: what is theirs would be told as a stranger's.
    """
    if direct(options) is None or options.stack:
        return
    guessed = [name for kind, name in names.by_kind.items() if kind not in (options.roles or {})]
    row = connection.execute(OWNER_AND_MISSING, [guessed]).fetchone()
    owner, missing = row or ("", [])
    if missing:
        database = connection.info.dbname
        raise RefusedError(
            f"{product} has no role {', '.join(name for name in guessed if name in missing)} here",
            detail=f"a connection string does not tell what its roles are called; {database} belongs to {owner}",
            hint="Add --stack with the stack whose roleNames call them otherwise, or say it: "
            f"--roles owner={owner},app={product}_service. Where one is gone, say what it was called.",
        )


def _given(product: str, names: RoleNames, given: dict[str, str] | None) -> RoleNames:
    for kind in given or ():
        if kind not in names.by_kind:
            raise unknown_name(f"role of {product}", kind, list(names.by_kind))
    return replace(names, **given) if given else names
