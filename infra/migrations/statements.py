"""Split sections into statements and find those that may not stand there. Pure; PostgreSQL's own parser does the work.

Called by `planner` for what is pending and by `runner` for files that run statement by statement. The parser takes
its time to load, so a section without a suspicious word never loads it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from infra.migrations import kinds
from infra.migrations.errors import (
    CopyFromStdinError,
    MigrationError,
    NeedsNoTransactionError,
    PsqlCommandError,
    SyntaxMistakeError,
    TransactionControlError,
    UnnamedIndexError,
)
from infra.migrations.kinds import Detach, IndexBuild
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
        done_before: The SQLSTATE that tells, after an attempt nobody heard the end of, that it came to it; or nothing.
    """

    number: int
    text: str
    line: int
    atomic: bool
    patient: bool
    build: IndexBuild | None
    detach: Detach | None
    done_before: str


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
        atomic = kinds.needs_no_transaction(node) is None and not kinds.may_commit(node, text)
        statements.append(
            Statement(
                number,
                text,
                line,
                atomic,
                kinds.patient(node),
                kinds.index_build(node),
                kinds.detach(node),
                kinds.done_before(node),
            )
        )
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
    return [kinds.described(node) for node in nodes if type(node).__name__ == "IndexStmt" and node.if_not_exists]


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
        command = kinds.needs_no_transaction(node)
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
