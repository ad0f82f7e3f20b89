"""Split sections into statements and find those that may not stand there. Pure; PostgreSQL's own parser does the work.

Called by `planner` for what is pending and by `runner` for files that run statement by statement. The parser takes
its time to load, so a section without a suspicious word never loads it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from infra.migrations.errors import (
    CopyFromStdinError,
    MigrationError,
    NeedsNoTransactionError,
    PsqlCommandError,
    SyntaxMistakeError,
    TransactionControlError,
    UnnamedIndexError,
)
from infra.migrations.model import Migration

# Words without which no check below can find anything.
_SUSPICIOUS = re.compile(
    r"\\|\b(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare|concurrently|copy|vacuum|reindex"
    r"|system|database|tablespace|cluster)\b",
    re.IGNORECASE,
)
_COPY_STREAM = re.compile(r"^\s*copy\b[^;']*\bfrom\s+stdin\b", re.IGNORECASE | re.MULTILINE)
_VALIDATES = re.compile(r"\bvalidate\s+constraint\b", re.IGNORECASE)
_INDEX_IF_NOT_EXISTS = re.compile(r"\bindex\s+if\s+not\s+exists\b", re.IGNORECASE)
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


class Statement(NamedTuple):
    """One statement of a section.

    Attributes:
        number: Its place in the section, from 1.
        text: Itself, without the semicolon.
        line: Line of the file on which it begins.
        atomic: Whether it may share a transaction with its record.
        patient: Whether it may wait long for its lock, because nobody is held up behind it.
        build: The index it builds (`create`), drops (`drop`) or builds again (`reindex`) concurrently.
        detach: The partition it detaches concurrently.
    """

    number: int
    text: str
    line: int
    atomic: bool
    patient: bool
    build: IndexBuild | None
    detach: Detach | None


def split(migration: Migration, direction: str = "up") -> tuple[Statement, ...]:
    """Return the statements of one section, split as the server would.

    Args:
        migration: The file.
        direction: "up" or "down".

    Raises:
        SyntaxMistakeError: the parser does not take it.
    """
    section, first_line = _section(migration, direction)
    statements = []
    for number, (start, end, node) in enumerate(_parse(migration, section, first_line), 1):
        text = section[start:end]
        line = first_line + section.count("\n", 0, start)
        atomic = _needs_no_transaction(node) is None and not _may_commit(node, text)
        statements.append(Statement(number, text, line, atomic, _patient(node), _index_build(node), _detach(node)))
    return tuple(statements)


def patient(migration: Migration, direction: str = "up") -> bool:
    """Return whether a whole transactional section may wait long for its locks: all it does is validate."""
    section, _ = _section(migration, direction)
    return bool(_VALIDATES.search(section)) and all(statement.patient for statement in split(migration, direction))


def indexes_if_not_exists(migration: Migration, direction: str = "up") -> list[IndexBuild]:
    """Return the indexes that a section makes only where none of the name exists."""
    section, first_line = _section(migration, direction)
    if not _INDEX_IF_NOT_EXISTS.search(section):
        return []
    nodes = [node for _, _, node in _parse(migration, section, first_line)]
    return [_described(node) for node in nodes if type(node).__name__ == "IndexStmt" and node.if_not_exists]


def digest(statements: Sequence[Statement], done: int) -> str:
    """Return the hex SHA-256 over the first `done` statements; empty for none."""
    if not done:
        return ""
    return hashlib.sha256("\0".join(statement.text for statement in statements[:done]).encode()).hexdigest()


def check(migration: Migration, direction: str = "up") -> list[MigrationError]:
    """Return the mistakes in one section's statements, none where it can run."""
    section, first_line = _section(migration, direction)
    transactional = migration.transactional if direction == "up" else migration.down_transactional
    if transactional and not _SUSPICIOUS.search(section):
        return []
    try:
        refused = _refused_by_scan(migration, section, first_line)
        if refused:
            return refused
        parsed = _parse(migration, section, first_line)
    except SyntaxMistakeError as mistake:
        return [mistake]
    mistakes: list[MigrationError] = []
    for start, end, node in parsed:
        line = first_line + section.count("\n", 0, start)
        words = " ".join(section[start:end].split()[:2]).upper()
        command = _needs_no_transaction(node)
        if type(node).__name__ == "TransactionStmt":
            mistakes.append(TransactionControlError(migration.name, line, words, transactional=transactional))
        elif transactional and command:
            mistakes.append(NeedsNoTransactionError(migration.name, line, command, direction))
        elif type(node).__name__ == "IndexStmt" and node.concurrent and not node.idxname:
            mistakes.append(UnnamedIndexError(migration.name, line))
    return mistakes


def _section(migration: Migration, direction: str) -> tuple[str, int]:
    if direction == "up":
        return migration.up, migration.up_line
    return migration.down, migration.down_line


def _parse(migration: Migration, section: str, first_line: int) -> list[tuple[int, int, Any]]:
    """Return where each statement begins and ends, in characters, and its node."""
    from pglast import parser

    try:
        raw: tuple[Any, ...] = parser.parse_sql(section)
    except parser.ParseError as error:
        raise _syntax_mistake(migration, section, first_line, error) from None
    return [
        (item.stmt_location, item.stmt_location + item.stmt_len if item.stmt_len else len(section), item.stmt)
        for item in raw
    ]


def _refused_by_scan(migration: Migration, section: str, first_line: int) -> list[MigrationError]:
    """Find psql's own commands and COPY from or to the client's streams: the parser itself stops at both."""
    from pglast import parser

    try:
        tokens = parser.scan(section)
    except parser.ParseError as error:
        if copy := _COPY_STREAM.search(section[: error.args[-1] if isinstance(error.args[-1], int) else None]):
            # The rows below are not SQL: a single quote in them ends the parser's patience first.
            line = first_line + section.count("\n", 0, copy.start())
            return [CopyFromStdinError(migration.name, line, "FROM STDIN")]
        raise _syntax_mistake(migration, section, first_line, error) from None
    mistakes: list[MigrationError] = []
    copies = False
    first = True
    for token in tokens:
        line = first_line + section.count("\n", 0, token.start)
        if token.name in ("SQL_COMMENT", "C_COMMENT"):
            continue
        if token.name == "ASCII_92":
            command = section[token.start :].split(maxsplit=1)[0]
            return [*mistakes, PsqlCommandError(migration.name, line, command)]
        if copies and token.name in ("STDIN", "STDOUT"):
            # What follows is data, not SQL: looking on would only find nonsense.
            direction = "FROM STDIN" if token.name == "STDIN" else "TO STDOUT"
            return [*mistakes, CopyFromStdinError(migration.name, line, direction)]
        copies = token.name == "COPY" if first else copies
        first = token.name == "ASCII_59"
    return mistakes


def _syntax_mistake(migration: Migration, section: str, first_line: int, error: Exception) -> SyntaxMistakeError:
    reason, location = (*error.args, None, None)[:2]
    position = location if isinstance(location, int) else 0
    line = first_line + section.count("\n", 0, position)
    return SyntaxMistakeError(migration.name, line, cut(str(reason)))


def cut(reason: str) -> str:
    """Return the parser's words without the lines that follow: near a quote that is not closed, it names all."""
    words, more, _ = reason.partition("\n")
    return f'{words}…"' if more else words


def _needs_no_transaction(node: Any) -> str | None:
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
        case "AlterTableStmt" if _detach(node):
            return "DETACH PARTITION CONCURRENTLY"
    return None


def _reindexes_concurrently(node: Any) -> bool:
    return any(option.defname == "concurrently" for option in node.params or ())


def _may_commit(node: Any, text: str) -> bool:
    """Return whether a statement may end transactions itself, as a procedure or a DO block can."""
    kind = type(node).__name__
    return kind == "CallStmt" or (kind == "DoStmt" and bool(_ENDS_TRANSACTIONS.search(text)))


def _patient(node: Any) -> bool:
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
            return bool(_detach(node)) or all(command.subtype.name == "AT_ValidateConstraint" for command in node.cmds)
        case "VacuumStmt":
            return not any(option.defname == "full" for option in node.options or ())
        case "RefreshMatViewStmt":
            return bool(node.concurrent)
        case "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "SelectStmt":
            return True
    return False


def _index_build(node: Any) -> IndexBuild | None:
    """Return the index that a statement builds, drops or builds again concurrently."""
    match type(node).__name__:
        case "IndexStmt" if node.concurrent:
            return _described(node)
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


def _detach(node: Any) -> Detach | None:
    """Return the partition that a statement detaches concurrently; it does nothing else then."""
    if type(node).__name__ == "AlterTableStmt" and type(node.cmds[0].def_).__name__ == "PartitionCmd":
        command = node.cmds[0].def_
        return Detach(_name(command.name), _name(node.relation)) if command.concurrent else None
    return None


def _name(relation: Any) -> tuple[str, ...]:
    return (relation.schemaname, relation.relname) if relation.schemaname else (relation.relname,)


def _described(node: Any) -> IndexBuild:
    relation = node.relation
    return IndexBuild(
        "create", relation.schemaname or "", node.idxname or "", relation.relname, bool(node.if_not_exists)
    )
