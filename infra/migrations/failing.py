"""Turn a failed batch into an error that names file, line, cause and remedy. Pure.

Called by `transactional` and `online` after the server has answered.
"""

from __future__ import annotations

from infra.connection import server_message
from infra.connection_failures import READ_ONLY
from infra.migrations import statements
from infra.migrations.errors import MigrationError, SyntaxMistakeError
from infra.migrations.failures import InvalidIndexError, LockWaitError, MigrationFailedError
from infra.migrations.model import Migration
from infra.migrations.session import Outcome

_OUTSIDE = "Move it to a migration of its own, whose section is marked `transaction:false`."
_HINTS = {
    "22P02": "Mend the value in a new run; nothing was stored.",
    "23502": "Fill the empty fields first, then run again.",
    "23503": "Mend the rows that point to nothing, then run again.",
    "23505": "Mend the duplicates that are named, then run the same command again: it goes on here.",
    "23514": "Mend the rows that break the check, then run again.",
    "25001": _OUTSIDE,
    "25006": READ_ONLY,
    "2BP01": "Drop, move or detach what depends on it first, as its owner sees fit, then run the same command again.",
    "2D000": _OUTSIDE,
    "42501": "Connect as a role that may do this: the owner of the objects, or a member of it.",
    "42601": "Mend the file: it is not applied, so it may be changed.",
    "42804": "Give both columns of the key the same type.",
    "42P01": "Create the missing table first, or check the search_path.",
    "42P06": "The schema stands already: adopt it (`chatdb baseline`) or move it away.",
    "42P07": "An object of that name stands already: adopt it (`chatdb baseline`) or move it away.",
    "42710": "An object of that name stands already: adopt it (`chatdb baseline`) or move it away.",
    "53100": "The server's disk is full: free space, then run the same command again.",
    "55P03": "Let the sessions that are named end, or end them, then run the same command again.",
    "57014": "Raise the statement timeout, or run when there is less load.",
}

# What an up section that was only half done has not made.
_MISSING = ("42703", "42704", "42P01")
_HALF_DONE = "Where its up section was only half done, write IF EXISTS: a half-done file may be changed."


def failure(
    migration: Migration, direction: str, outcome: Outcome, *, opening: int, before: int
) -> MigrationFailedError:
    """Return the error for a section that failed as a whole.

    Args:
        migration: The file.
        direction: Which of its sections.
        outcome: What the server answered.
        opening: At which character of the message the section began.
        before: How many statements of ours came before the section.
    """
    error = outcome.error
    assert error is not None  # noqa: S101 - the callers have looked
    section, first_line = (
        (migration.up, migration.up_line) if direction == "up" else (migration.down, migration.down_line)
    )
    number = outcome.done - before + 1
    position = int(error.diag.statement_position or 0) - 1 - opening
    line = 0
    if 0 <= position < len(section):
        line = first_line + section.count("\n", 0, position)
    parts = _split(migration, direction)
    if not line and 0 < number <= len(parts):
        line = parts[number - 1].line
    words = server_message(error)
    if error.sqlstate == "42601":
        words = statements.cut(words)
        if not line and (mistake := _unclosed(migration, direction)):
            # The parser ran past the end of the section: something in it is not closed.
            line, words = mistake.line, mistake.detail
    number = number if 0 < number <= len(parts) else 0
    state = f"failed {migration.label} at line {line}" if line else f"failed {migration.label} at its end"
    return _error(migration, direction, words, outcome, line=line, number=number, state=state)


def statement_failure(
    migration: Migration, direction: str, statement: statements.Statement, outcome: Outcome
) -> MigrationFailedError:
    """Return the error for one statement of a file that runs statement by statement."""
    error = outcome.error
    assert error is not None  # noqa: S101 - the callers have looked
    state = f"failed {migration.label} at line {statement.line}"
    words = server_message(error)
    return _error(migration, direction, words, outcome, line=statement.line, number=statement.number, state=state)


def _error(
    migration: Migration, direction: str, words: str, outcome: Outcome, *, line: int, number: int, state: str
) -> MigrationFailedError:
    error = outcome.error
    assert error is not None  # noqa: S101 - the callers have looked
    where = f"at line {line}" if line else "at its end"
    what = "" if direction == "up" else " while rolling back"
    detail = f"{migration.name}.sql:{line}: {words}" if line else words
    if outcome.blockers:
        detail += f"; in the way: {'; '.join(map(str, outcome.blockers))}"
    hint = _HINTS.get(error.sqlstate or "") or error.diag.message_hint or "Mend the cause, then run again."
    if direction == "down" and error.sqlstate in _MISSING:
        hint = _HALF_DONE
    kind = LockWaitError if error.sqlstate == "55P03" else MigrationFailedError
    return kind(
        f"migration {migration.name} failed {where}{what}",
        migration=migration.name,
        line=line,
        statement=number,
        detail=detail,
        hint=hint,
        state=state,
        sqlstate=error.sqlstate,
    )


def invalid_index(migration: Migration, name: str) -> InvalidIndexError:
    """Return the error for `IF NOT EXISTS` over an index that is INVALID and not of our making."""
    return InvalidIndexError(
        f"migration {migration.name} finds an INVALID index {name} that it did not make",
        detail="an attempt that was cut short has left it unusable; IF NOT EXISTS would take it for a finished one",
        hint=f"Drop it, then run again: DROP INDEX CONCURRENTLY {name};",
    )


def other_index(migration: Migration, name: str, definition: str) -> InvalidIndexError:
    """Return the error for an index of the name that is not what the statement asks for."""
    return InvalidIndexError(
        f"migration {migration.name} finds another index named {name}",
        detail=f"it stands already as: {definition}",
        hint=f"Drop or rename it, then run again: DROP INDEX CONCURRENTLY {name};",
    )


def _unclosed(migration: Migration, direction: str) -> SyntaxMistakeError | None:
    """Return the string or comment that is not closed, None where it is not known."""
    try:
        statements.split(migration, direction)
    except SyntaxMistakeError as mistake:
        return mistake
    return None


def _split(migration: Migration, direction: str) -> tuple[statements.Statement, ...]:
    try:
        return statements.split(migration, direction)
    except MigrationError:
        return ()  # the server has said already what is wrong with it
