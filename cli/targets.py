"""Find the database a command is about: a stack's, or one that a connection string names.

In this order: `--stack`; `--url`; the variables DATABASE_URL, POSTGRES_URL, PGHOST; the stack `dev` where it is up.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from cli.context import DEFAULT_STACK, stack_folder
from cli.engines import stack_outputs
from infra import products
from infra.connection import Target
from infra.errors import ChatdbError, ConnectionFailedError, unknown_name

URL_VARIABLES = ("DATABASE_URL", "POSTGRES_URL")


def from_stack(stack: str, product: str, role: str, options: argparse.Namespace) -> Target:
    """Return a product's database in a stack, as one of its logins.

    Args:
        stack: Name of the stack.
        product: Name of the product.
        role: "app", "readonly" or "migrator"; the migrator acts as the owner.
        options: The command line; its `--engine` is honoured.

    Raises:
        UnknownNameError: the stack has no such product, or the product no such login.
    """
    products.load(product)
    return from_outputs(stack_outputs(stack, options, show_secrets=True), stack, product, role)


def from_outputs(outputs: Mapping[str, Any], stack: str, product: str, role: str) -> Target:
    """Return a product's database from the outputs of its stack, secrets in plain; otherwise as `from_stack`."""
    connections: dict[str, Any] = outputs.get("connections", {})
    if product not in connections:
        raise unknown_name(f"product in stack {stack}", product, sorted(connections))
    if role not in connections[product]:
        raise unknown_name(f"login of {product}", role, sorted(connections[product]))
    login = connections[product][role]
    facts = outputs["products"][product]
    server = outputs["server"]
    return Target(
        host=server["host"],
        port=int(server["port"]),
        database=facts["database"],
        user=login["user"],
        password=login["password"],
        role=facts["roles"]["owner"] if role == "migrator" else "",
        sslmode=server["sslMode"],
        sslrootcert=server.get("sslRootCert", ""),
    )


def stack_products(stack: str, options: argparse.Namespace) -> list[str]:
    """Return the products a stack carries."""
    return sorted(stack_outputs(stack, options, show_secrets=False).get("products", {}))


def from_url(url: str, *, owner: str = "") -> Target:
    """Return the database that a connection string names.

    Args:
        url: `postgresql://user:password@host:port/database?sslmode=require`, or libpq's `key=value` form.
        owner: Role to act as after login; empty for the login itself.

    Raises:
        ConnectionFailedError: it is no connection string; the text does not repeat it.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ConnectionFailedError(
            "the connection string cannot be read",
            detail="It is neither a postgresql:// URL nor libpq's key=value form; it may hold a password: not shown.",
            hint="Give it as postgresql://user:password@host:5432/database?sslmode=require",
            state="Nothing was changed.",
        ) from None
    return Target(
        host=str(parts.get("host") or os.environ.get("PGHOST", "localhost")),
        port=int(parts.get("port") or os.environ.get("PGPORT", "5432")),
        database=str(parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or ""),
        user=str(parts.get("user") or os.environ.get("PGUSER") or os.environ.get("USER", "")),
        password=str(parts.get("password") or os.environ.get("PGPASSWORD", "")),
        role=owner,
        sslmode=str(parts.get("sslmode") or os.environ.get("PGSSLMODE", "prefer")),
        sslrootcert=str(parts.get("sslrootcert") or os.environ.get("PGSSLROOTCERT", "")),
    )


def direct(options: argparse.Namespace) -> Target | None:
    """Return the database named without a stack; None where a stack is chosen or nothing is named."""
    if options.stack:
        return None
    url = options.url or next((os.environ[name] for name in URL_VARIABLES if os.environ.get(name)), "")
    if url:
        return from_url(url, owner=options.owner or "")
    if os.environ.get("PGHOST") or os.environ.get("PGSERVICE"):
        return from_url("", owner=options.owner or "")
    return None


def resolve(options: argparse.Namespace, product: str, *, role: str = "migrator") -> Target:
    """Return the database of a product for this command line.

    Raises:
        ConnectionFailedError: nothing names a database.
    """
    found = direct(options)
    if found is not None:
        return found
    stack = options.stack or DEFAULT_STACK
    if not options.stack and not (stack_folder(stack) / "stack.json").exists():
        raise ConnectionFailedError(
            "no connection string is given",
            detail="Neither --stack nor --url is given; DATABASE_URL, POSTGRES_URL and PGHOST are not set.",
            hint='Set it: export DATABASE_URL="postgresql://user:password@host/database?sslmode=require"; '
            "or name a stack: --stack dev",
            state="Nothing was changed.",
        )
    return from_stack(stack, product, role, options)


def require(options: argparse.Namespace) -> list[str]:
    """Return the products a command is about: the one that is named, or all of the stack.

    Raises:
        ChatdbError: a database is named directly, and no product.
    """
    if options.product:
        return [products.load(options.product).name]
    if direct(options) is not None:
        raise ChatdbError(
            "a product must be named",
            detail="A connection string names one database; which product's it is cannot be told from it.",
            hint=f"Add --product; known: {', '.join(products.names())}.",
            state="Nothing was changed.",
        )
    return stack_products(options.stack or DEFAULT_STACK, options)
