"""`chatdb new`: start a migration from a template, or draft it from what was edited in schema.sql.

A draft is tried forth and back in a scratch database and compared; what it does not make is named in it. It is for
review: it begins with a mark, and nothing applies a file that has it.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import psycopg

from cli import scratch
from cli.script import write
from infra import products
from infra.connection import Target, connect, explained, server_message
from infra.errors import ChatdbError, DatabaseError, RefusedError
from infra.migrations import catalogue, drafting, snapshot
from infra.migrations.ddl import Step
from infra.migrations.drafting import Side
from infra.products import Product
from infra.words import counted

TEMPLATE = """\
-- Why this is needed, in a sentence or two.
--
-- Locks: what it locks against whom, and for how long.

-- migrate:up

-- migrate:down
"""
DEFAULT_NAME = "follow_schema"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*", re.ASCII)
_FUNCTIONS = """
SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND p.prokind IN ('f', 'p')
"""


def new(options: argparse.Namespace) -> int:
    """Write the next migration; 2 where a draft does not make all that schema.sql declares."""
    product = products.load(options.product)
    if not options.name and not options.from_schema:
        raise ChatdbError(
            "the migration needs a name",
            detail="it says in a few words what the file does",
            hint=f"chatdb new add_reactions --product {product.name}",
            state="Nothing was written.",
        )
    file = next_file(product, options.name or DEFAULT_NAME)
    shown = f"schema/{product.name}/migrations/{file.name}"
    if not options.from_schema:
        write(file, TEMPLATE)
        print(json.dumps({"file": shown}) if options.json else f"wrote {shown}")
        return 0
    up, down, left = draft(product)
    if not up and not left:
        if options.json:
            print(json.dumps({"file": None, "statements": 0, "complete": True, "left": []}))
        else:
            print(f"no differences: schema/{product.name}/schema.sql is what the migrations make")
        return 0
    write(file, drafting.text(up, down, left=left))
    if options.json:
        print(json.dumps({"file": shown, "statements": len(up), "complete": not left, "left": left}))
    else:
        _say(shown, up, left)
    return 2 if left else 0


def next_file(product: Product, name: str) -> Path:
    """Return the path of a product's next migration.

    Raises:
        ChatdbError: the name cannot be one.
    """
    plain = re.sub(r"[\s-]+", "_", name.strip()).lower().removesuffix(".sql")
    if not _NAME.fullmatch(plain):
        raise ChatdbError(
            f"{name!r} is not a name for a migration",
            detail="lower-case letters, digits and underscores; the number comes by itself",
            hint=f"chatdb new add_reactions --product {product.name}",
            state="Nothing was written.",
        )
    taken = [
        int(match[1]) for file in product.migrations_folder.glob("*.sql") if (match := re.match(r"(\d+)_", file.name))
    ]
    return product.migrations_folder / f"{max(taken, default=0) + 1:04d}_{plain}.sql"


def draft(product: Product) -> tuple[list[Step], list[Step], list[str]]:
    """Return what leads from the migrations to schema.sql and back, and a sentence for each thing it does not do.

    Raises:
        DatabaseError: a migration or schema.sql itself fails.
    """
    with scratch.server() as server:
        declared = scratch.database(server, product, "declared")
        _run_schema(declared, product)
        target = scratch.database(server, product, "migrated")
        with connect(target) as connection, connect(declared) as other:
            with explained(f"the migrations of {product.name} fail", target, hint="Mend the migration."):
                snapshot.generate(connection, product)
            migrated, wanted = _side(connection, product), _side(other, product)
            up, down = drafting.steps(migrated, wanted), drafting.steps(wanted, migrated)
            left = _try(connection, up, "", product, wanted)
            # What is left over after a half-done way there says nothing of the way back.
            left += [] if left else _try(connection, down, "the way back: ", product, migrated)
    return up, down, left


def _run_schema(target: Target, product: Product) -> None:
    """Run schema.sql in an empty database.

    Raises:
        DatabaseError: a statement of it fails; the line is named.
    """
    text = _schema(product)
    try:
        with connect(target) as connection:
            connection.execute(text.encode())
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = f" at line {text.count(chr(10), 0, int(position) - 1) + 1}" if position else ""
        raise DatabaseError(
            f"schema/{product.name}/schema.sql fails{line}",
            detail=server_message(error),
            hint="Mend it, then draft again.",
            state="Nothing was written.",
            sqlstate=error.sqlstate,
        ) from None


def _schema(product: Product) -> str:
    """Return the text of schema.sql, without a byte order mark.

    Raises:
        ChatdbError: there is none, or it is no UTF-8.
    """
    try:
        return (product.folder / "schema.sql").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(
            f"schema/{product.name}/schema.sql cannot be read",
            detail=getattr(error, "strerror", None) or f"{error}",
            hint="Write it in UTF-8: the whole schema at its newest version, as the other products have it.",
            state="Nothing was written.",
        ) from None


def _side(connection: psycopg.Connection[Any], product: Product) -> Side:
    """Return all of the product's schema: a table that product.toml does not list yet counts too."""
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        functions = dict(connection.execute(_FUNCTIONS, [product.schema]).fetchall())
    return Side(catalogue=catalogue.read(connection, schema=product.schema), functions=functions)


def _try(
    connection: psycopg.Connection[Any], steps: list[Step], prefix: str, product: Product, wanted: Side
) -> list[str]:
    """Run the statements and return what fails and what then still differs."""
    left = []
    for step in steps:
        try:
            connection.execute(step.text.encode())
        except psycopg.Error as error:
            left.append(f"{prefix}{' '.join(step.text.split())[:80]} fails: {server_message(error)}")
    found = catalogue.differences(dict(wanted.catalogue), catalogue.read(connection, schema=product.schema))
    for difference in found:
        last = (
            " (PostgreSQL adds columns at the end: declare them there)"
            if difference.attribute == "column order"
            else ""
        )
        left.append(f"{prefix}{difference.sentence}{last}")
    return left


def _say(shown: str, up: list[Step], left: list[str]) -> None:
    print(f"drafted {shown}: {counted(len(up), 'statement')}")
    if left:
        print("it is not complete; named in it as TODO:")
        for sentence in left:
            print(f"  {sentence}")
    else:
        print("it is complete: tried in a scratch database, it makes what schema.sql declares, and goes back")
    print("review it, write its reason, remove the mark at its top; then: chatdb lint, chatdb snapshot, make test")
    if any(step.text.startswith(("CREATE TABLE", "CREATE UNLOGGED TABLE")) for step in up):
        print("a new table is also listed in product.toml, and granted in infra/privileges.py")
