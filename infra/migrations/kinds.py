"""Tell by what the parser made of a statement how it must run: alone, patiently, as the build of an index. Pure.

Called by `statements` for each one.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_ENDS_TRANSACTIONS = re.compile(r"\b(?:commit|rollback)\b", re.IGNORECASE)


class IndexBuild(NamedTuple):
    """An index that a statement builds, drops or builds again; `schema` is empty where the statement names none.

    A statement that builds the indexes of a table, a schema or the whole database again names no more than that.
    """

    action: str
    schema: str
    name: str
    table: str
    if_not_exists: bool


class Detach(NamedTuple):
    """A partition that a statement detaches concurrently, and its table: each a name, after its schema if need be."""

    partition: tuple[str, ...]
    table: tuple[str, ...]


def needs_no_transaction(node: Any) -> str | None:
    """Return the command as people write it where PostgreSQL refuses it inside a transaction, else None.

    Source: https://www.postgresql.org/docs/18/sql-commands.html (each command's notes)
    """
    match type(node).__name__:
        case "IndexStmt" if node.concurrent:
            return "CREATE INDEX CONCURRENTLY"
        case "DropStmt" if node.concurrent:
            return "DROP INDEX CONCURRENTLY"
        case "ReindexStmt" if _reindexes_concurrently(node) or node.kind.name not in (
            "REINDEX_OBJECT_INDEX",
            "REINDEX_OBJECT_TABLE",
        ):
            return "REINDEX CONCURRENTLY" if _reindexes_concurrently(node) else "REINDEX of a schema or database"
        case "VacuumStmt" if node.is_vacuumcmd:
            return "VACUUM"
        case "ClusterStmt" if node.relation is None:
            return "CLUSTER of all tables"
        case "AlterSystemStmt":
            return "ALTER SYSTEM"
        case "CreatedbStmt" | "DropdbStmt":
            return "CREATE DATABASE" if type(node).__name__ == "CreatedbStmt" else "DROP DATABASE"
        case "CreateTableSpaceStmt" | "DropTableSpaceStmt":
            return "CREATE or DROP TABLESPACE"
        case "AlterTableStmt" if detach(node):
            return "DETACH PARTITION CONCURRENTLY"
    return None


# What no transaction holds, and how the server says that an earlier attempt came to its end: it stands, it is gone.
_LASTING = {
    "CreatedbStmt": "42P04",
    "DropdbStmt": "3D000",
    **dict.fromkeys(("CreateTableSpaceStmt", "CreateSubscriptionStmt"), "42710"),
    **dict.fromkeys(("DropTableSpaceStmt", "DropSubscriptionStmt"), "42704"),
}


def done_before(node: Any) -> str:
    """Return the SQLSTATE by which a database, tablespace or subscription is known to be made or dropped already."""
    return _LASTING.get(type(node).__name__, "")


def _reindexes_concurrently(node: Any) -> bool:
    return any(option.defname == "concurrently" for option in node.params or ())


def may_commit(node: Any, text: str) -> bool:
    """Return whether a statement may end transactions itself, as a procedure or a DO block can."""
    kind = type(node).__name__
    return kind == "CallStmt" or (kind == "DoStmt" and bool(_ENDS_TRANSACTIONS.search(text)))


def patient(node: Any) -> bool:
    """Return whether a statement waits without holding up others behind it.

    Source: https://www.postgresql.org/docs/18/explicit-locking.html (SHARE UPDATE EXCLUSIVE and ROW EXCLUSIVE let
    readers and writers pass)
    """
    match type(node).__name__:
        case "IndexStmt" | "DropStmt":
            return bool(node.concurrent)
        case "ReindexStmt":
            return _reindexes_concurrently(node)
        case "AlterTableStmt":
            return bool(detach(node)) or all(command.subtype.name == "AT_ValidateConstraint" for command in node.cmds)
        case "VacuumStmt":
            return not any(option.defname == "full" for option in node.options or ())
        case "RefreshMatViewStmt":
            return bool(node.concurrent)
        case "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "SelectStmt":
            return True
    return False


def index_build(node: Any) -> IndexBuild | None:
    """Return the index that a statement builds, drops or builds again concurrently."""
    match type(node).__name__:
        case "IndexStmt" if node.concurrent:
            return described(node)
        case "DropStmt" if node.concurrent:
            parts = [part.sval for part in node.objects[0]]
            return IndexBuild("drop", parts[-2] if len(parts) > 1 else "", parts[-1], "", bool(node.missing_ok))
        case "ReindexStmt" if _reindexes_concurrently(node):
            index = node.kind.name == "REINDEX_OBJECT_INDEX"
            schema = node.name or "" if node.kind.name == "REINDEX_OBJECT_SCHEMA" else ""
            name = ""
            if node.relation is not None:
                name, schema = node.relation.relname, node.relation.schemaname or ""
            return IndexBuild("reindex", schema, name if index else "", "" if index else name, if_not_exists=False)
    return None


def detach(node: Any) -> Detach | None:
    """Return the partition that a statement detaches concurrently; it does nothing else then."""
    if type(node).__name__ == "AlterTableStmt" and type(node.cmds[0].def_).__name__ == "PartitionCmd":
        command = node.cmds[0].def_
        return Detach(_name(command.name), _name(node.relation)) if command.concurrent else None
    return None


def _name(relation: Any) -> tuple[str, ...]:
    return (relation.schemaname, relation.relname) if relation.schemaname else (relation.relname,)


def described(node: Any) -> IndexBuild:
    """Return the index that a CREATE INDEX builds, whichever way."""
    relation = node.relation
    return IndexBuild(
        "create", relation.schemaname or "", node.idxname or "", relation.relname, bool(node.if_not_exists)
    )
