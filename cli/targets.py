"""Find the database a command is about: a stack's, or one that a connection string names.

In this order: `--url` or the fields; `--stack`; the variables DATABASE_URL, POSTGRES_URL, PG*; the stack `dev` where it
is up.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cli.context import DEFAULT_STACK, require_running
from cli.direct import direct, in_environment, is_asked_for
from cli.engines import stack_outputs
from cli.requirements import check_connection
from infra import products
from infra.connection import Target
from infra.errors import ChatdbError, RefusedError, unknown_name

if TYPE_CHECKING:
    from infra.aws import Access

Named = TypeVar("Named", bound=ChatdbError)


def from_stack(stack: str, product: str, role: str, options: argparse.Namespace) -> Target:
    """Return a product's database in a stack, as one of its logins.

    Args:
        stack: Name of the stack.
        product: Name of the product.
        role: "app", "readonly", "analytics" or "migrator"; the migrator acts as the owner.
        options: The command line; its `--engine` is honoured.

    Raises:
        UnknownNameError: the stack has no such product, or the product no such login.
        ChatdbError: the stack is not up, or was never up as a whole.
    """
    products.load(product)
    return from_outputs(stack_outputs(stack, options, show_secrets=True), stack, product, role)


def from_outputs(outputs: Mapping[str, Any], stack: str, product: str, role: str) -> Target:
    """Return a product's database from the outputs of its stack, secrets in plain; otherwise as `from_stack`."""
    _require_finished(outputs, stack)
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
        password=login.get("password", ""),
        role=facts["roles"]["owner"] if role == "migrator" else "",
        sslmode=server["sslMode"],
        sslrootcert=products.in_project(server.get("sslRootCert", "")),
        iam=_token_access(login.get("iam")),
    )


def _token_access(fields: Mapping[str, Any] | None) -> Access | None:
    """Return how AWS is reached for the tokens of a login that has no password."""
    if fields is None:
        return None
    from infra.aws import Access

    return Access.of(fields)


def rotation_of(options: argparse.Namespace) -> int | None:
    """Return the rotation of the stack that a command is about; None where a database is named without one."""
    if direct(options) is not None:
        return None
    return int(stack_outputs(options.stack or DEFAULT_STACK, options, show_secrets=False).get("rotation", 1))


def stack_products(stack: str, options: argparse.Namespace) -> list[str]:
    """Return the products a stack carries.

    Raises:
        ChatdbError: the stack is not up, or was never up as a whole.
    """
    return sorted(finished_outputs(stack, options)["products"])


def finished_outputs(stack: str, options: argparse.Namespace) -> Mapping[str, Any]:
    """Return the outputs of a stack, secrets masked.

    Raises:
        ChatdbError: the stack is not up, or was never up as a whole.
    """
    outputs = stack_outputs(stack, options, show_secrets=False)
    _require_finished(outputs, stack)
    return outputs


def _require_finished(outputs: Mapping[str, Any], stack: str) -> None:
    """Return where an update of the stack came to its end, which leaves outputs."""
    if "products" not in outputs:
        raise RefusedError(
            f"stack {stack} was never up as a whole",
            detail="its first update stopped before its end, so there are no outputs",
            hint=f"Mend what it named, then run it again: chatdb up --stack {stack}. "
            "Where it waits for the application's tables: chatdb psql --role administrator.",
        )


def resolve(options: argparse.Namespace, product: str, *, role: str = "migrator") -> Target:
    """Return the database of a product for this command line.

    Raises:
        ConnectionFailedError: nothing names a database, or the stack's embedded server is stopped.
    """
    check_connection(options)
    found = direct(options)
    if found is not None:
        return found
    stack = options.stack or DEFAULT_STACK
    found = from_stack(stack, product, role, options)
    require_running(stack)
    return found


def stack_of(options: argparse.Namespace) -> str:
    """Return the stack a command is about; empty where a database is named without one."""
    named = is_asked_for(options) or in_environment()
    return options.stack or ("" if named else DEFAULT_STACK)


def require(options: argparse.Namespace) -> list[str]:
    """Return the products a command is about: the one that is named, or all of the stack.

    Raises:
        ChatdbError: a database is named directly, and no product.
    """
    if options.product:
        return [products.load(options.product).name]
    if direct(options) is not None:
        raise RefusedError(
            "a product must be named",
            detail="A connection string names one database; which product's it is cannot be told from it.",
            hint=f"Add --product; known: {', '.join(products.names())}.",
        )
    return stack_products(options.stack or DEFAULT_STACK, options)


def named(error: Named, options: argparse.Namespace, product: str) -> Named:
    """Return an error that says whose database it is about, where the command is about several."""
    error.message = error.message if options.product else f"{product}: {error.message}"
    return error
