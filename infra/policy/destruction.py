"""Find what a migration takes away for good, and who approved it. Pure; PostgreSQL's own parser does the reading.

Called by `rules`. Looked at are whole tables, columns and schemas, and rows without a WHERE, wherever a statement
holds them: in a CTE and in a DO block too. What a block runs by EXECUTE from a text of its own is not seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from infra.migrations.model import Migration

# `-- approved: who, why` above `-- migrate:up`.
_APPROVAL = re.compile(r"^--[ \t]*approved:[ \t]*([^,\n]*[^,\s])[ \t]*,[ \t]*(\S[^\n]*)$", re.MULTILINE)
_DROPPED = {
    "OBJECT_TABLE": "table",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_TYPE": "type",
}


class Approval(NamedTuple):
    """Who approved that a migration takes something away, and why."""

    who: str
    why: str


def approval(migration: Migration) -> Approval | None:
    """Return the approval in the head of a file; None where there is none that says who and why."""
    head = "\n".join(migration.text.split("\n")[: migration.up_line - 1])
    match = _APPROVAL.search(head)
    return Approval(match[1], match[2]) if match else None


def destructive(migration: Migration) -> list[str]:
    """Return what the up section takes away, in words, as in "drops column public.chats.title"; each once.

    Nothing for a file that the parser refuses: the planner and the linter name its line.
    """
    return list(dict.fromkeys(_in_text(migration.up)))


def _in_text(text: str) -> Iterator[str]:
    from pglast import parser

    try:
        statements = parser.parse_sql(text)
    except parser.ParseError:
        return
    for statement in statements:
        for node in _nodes(statement):
            yield from _of_definition(node)
            yield from _of_rows(node)


def _nodes(node: Any) -> Iterator[Any]:
    """Yield a node of the parser's tree and all that is in it."""
    if isinstance(node, tuple | list):
        for item in node:
            yield from _nodes(item)
    elif hasattr(node, "__slots__"):
        yield node
        for name in node:
            yield from _nodes(getattr(node, name))


def _of_definition(node: Any) -> Iterator[str]:
    match type(node).__name__:
        case "DropStmt" if node.removeType.name in _DROPPED:
            for item in node.objects:
                yield f"drops {_DROPPED[node.removeType.name]} {_name(item)}"
        case "DropdbStmt":
            yield f"drops database {node.dbname}"
        case "DropOwnedStmt":
            yield "drops whatever a role owns"
        case "AlterTableStmt":
            for command in node.cmds:
                if command.subtype.name == "AT_DropColumn":
                    yield f"drops column {_relation(node.relation)}.{command.name}"


def _of_rows(node: Any) -> Iterator[str]:
    match type(node).__name__:
        case "TruncateStmt":
            for relation in node.relations:
                yield f"empties table {_relation(relation)}"
        # WHERE true is no WHERE.
        case "DeleteStmt" if type(node.whereClause).__name__ in ("NoneType", "A_Const"):
            yield f"deletes every row of {_relation(node.relation)}"
        case "DoStmt":
            yield from _of_block(node)


def _of_block(node: Any) -> Iterator[str]:
    """Look into the statements of a DO block in PL/pgSQL."""
    from pglast import parser

    body = next((option.arg.sval for option in node.args if option.defname == "as"), "")
    tag = "$chatdb_block$"
    try:
        tree = json.loads(
            parser.parse_plpgsql_json(f"CREATE FUNCTION block() RETURNS void LANGUAGE plpgsql AS {tag}{body}{tag}")
        )
    except parser.ParseError:
        return
    for text in _queries(tree):
        yield from _in_text(text)


def _queries(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from _queries(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "query" and isinstance(value, str):
                yield value
            else:
                yield from _queries(value)


def _name(item: Any) -> str:
    """Return a name as it was written: a list of its parts, one part, or a type's."""
    if isinstance(item, tuple | list):
        return ".".join(part.sval for part in item)
    names = getattr(item, "names", None)
    return _name(names) if names else str(item.sval)


def _relation(relation: Any) -> str:
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else str(relation.relname)
