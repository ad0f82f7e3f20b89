"""Write migrations as one script for psql or a web console, ledger rows included. Pure.

Called by the command line for people who may not let a tool connect. The rows are written by the same statements as
the runner's, so afterwards the tool finds itself at the version that the script led to. Each step first makes sure that
the one before it stands: a script that is run twice, or goes on after an error, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from infra.migrations import ledger, ledger_sql, lock, statements
from infra.migrations.errors import NoSuchVersionError
from infra.migrations.filename import raise_all
from infra.migrations.model import Migration
from infra.migrations.options import Options
from infra.migrations.statements import Statement

_VERSION = """\
coalesce((SELECT max(version) FROM (SELECT DISTINCT ON (version) version, direction FROM chatdb.ledger \
ORDER BY version, sequence DESC) AS newest WHERE direction <> 'down'), 0)"""

_WHOLE = "NOT EXISTS (SELECT FROM chatdb.ledger WHERE finished_at IS NULL)"
_UNFINISHED = "(SELECT statements_done FROM chatdb.ledger WHERE finished_at IS NULL AND version = {version})"

# The INVALID leftover of an attempt does not count as built.
_BUILT = """\
EXISTS (SELECT FROM pg_class AS t JOIN pg_class AS c ON c.relnamespace = t.relnamespace \
JOIN pg_index AS i ON i.indexrelid = c.oid AND i.indrelid = t.oid \
WHERE t.oid = to_regclass({table}) AND c.relname = {name} AND i.indisvalid)"""

# Whatever psql, the login or the database sets: a text is stored as it stands in the file.
_FRESH = "RESET ALL;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"

_DETACHED = "NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass({partition}) \
AND inhparent = to_regclass({table}))"

_GUARD = """\
DO $chatdb$
BEGIN
    IF NOT coalesce({condition}, false) THEN
        RAISE EXCEPTION USING MESSAGE = {message}, HINT = {hint};
    END IF;
END
$chatdb$;
"""


def script(
    migrations: Sequence[Migration], *, after: int = 0, to: int | None = None, options: Options | None = None
) -> str:
    """Return the SQL that leads from one version to another, as text for psql or a web console.

    Args:
        migrations: All files, lowest version first.
        after: Version the database is at; 0 for an empty one.
        to: Version to lead to; the newest when None.
        options: What the ledger says of the run.

    Raises:
        NoSuchVersionError: one of the versions has no file, or they stand the wrong way round.
        MigrationError: a file holds what cannot be run.
    """
    options = options or Options()
    versions = [migration.version for migration in migrations]
    newest = versions[-1] if versions else 0
    to = newest if to is None else to
    for version in (after, to):
        if version not in (0, *versions):
            raise NoSuchVersionError(version, f"the newest file is {newest:04d}", "Name a version that has a file.")
    if to < after:
        raise NoSuchVersionError(to, f"it lies before {after:04d}", "Name the older version first.")
    chosen = [migration for migration in migrations if after < migration.version <= to]
    raise_all([mistake for migration in chosen for mistake in statements.check(migration)])
    parts = [_opening(chosen, after)]
    if after == 0 and chosen:
        parts.append(f"-- The ledger.\nBEGIN;\n{ledger_sql.CREATE}COMMIT;\n")
    previous = after
    for migration in chosen:
        write = _transaction if migration.transactional else _statement_by_statement
        parts.append(write(migration, previous, options))
        previous = migration.version
    return "\n".join(parts)


def _opening(chosen: Sequence[Migration], after: int) -> str:
    if not chosen:
        return f"-- Nothing is to be done after version {after:04d}.\n"
    alone = ""
    if not all(migration.transactional for migration in chosen):
        alone = (
            "-- Some statements cannot run inside a transaction (CONCURRENTLY): a console that sends the whole text\n"
            "-- as one message refuses them; send the parts between the empty lines one by one there.\n"
        )
    return (
        f"-- Leads from version {after:04d} to {chosen[-1].label}: {', '.join(m.name for m in chosen)}.\n"
        "-- Run it as the role that owns the database: psql --set ON_ERROR_STOP=1 --file=THIS\n"
        "-- Each part refuses to run where the one before it does not stand, so nothing runs twice.\n" + alone
    )


def _transaction(migration: Migration, previous: int, options: Options) -> str:
    """Return a file as one transaction with its ledger row."""
    return (
        f"-- {migration.name}\n"
        f"{_FRESH}BEGIN;\nSET LOCAL lock_timeout = {options.lock_timeout_ms};\n"
        f"{_at_version(previous)}"
        f"{migration.up.strip()}\n;\n"
        f"{ledger.append(migration, 'up', **options.signature())};\nCOMMIT;\n"
    )


def _statement_by_statement(migration: Migration, previous: int, options: Options) -> str:
    """Return a file whose statements each stand alone, with a record after each."""
    parts = statements.split(migration)
    begin = ledger.begin(migration, "up", len(parts), **options.signature())
    texts = [f"-- {migration.name}\n{_FRESH}BEGIN;\n{_at_version(previous)}{begin};\nCOMMIT;\n"]
    for statement in parts:
        done_before = _done(migration, statement.number - 1)
        if statement.atomic:
            record = _progress(migration, parts, statement, done=True)
            timeout_ms = options.online_lock_timeout_ms if statement.patient else options.lock_timeout_ms
            opening = f"BEGIN;\nSET LOCAL lock_timeout = {timeout_ms};\n{done_before}"
            texts.append(f"{opening}{statement.text}\n;\n{record};\nCOMMIT;\n")
            continue
        announced = _progress(migration, parts, statement, done=False)
        record = _progress(migration, parts, statement, done=True)
        texts.append(f"BEGIN;\n{done_before}{announced};\nCOMMIT;\n")
        texts.append(f"{statement.text}\n;\n")
        texts.append(f"BEGIN;\n{done_before}{_did(statement)}{record};\nCOMMIT;\n")
    finish = ledger.finish(migration, "up")
    texts.append(f"BEGIN;\n{_done(migration, len(parts))}{finish};\nCOMMIT;\n")
    return "\n".join(texts)


def _progress(migration: Migration, parts: tuple[Statement, ...], statement: Statement, *, done: bool) -> str:
    count = statement.number if done else statement.number - 1
    digest = statements.digest(parts, count)
    return ledger.progress(migration, "up", begun=statement.number, done=count, total=len(parts), digest=digest)


def _at_version(version: int) -> str:
    """Return the guards that begin a file: no other run is under way, or cut short, and this is the version."""
    free = sql.SQL("pg_try_advisory_xact_lock({})").format(sql.Literal(lock.KEY)).as_string()
    busy = _guard(free, "another run is migrating this database", "Wait until it ends.")
    half = _guard(_WHOLE, "a migration is half done", "Let `chatdb apply` or `chatdb rollback` go on from there.")
    message = f"this part of the script goes on from version {version:04d}, and the database is at another"
    return busy + half + _guard(f"{_VERSION} = {version}", message, "Write a new script for the version it is at.")


def _done(migration: Migration, count: int) -> str:
    """Return the guard that so many statements of a file are done and it is not finished."""
    unfinished = _UNFINISHED.format(version=migration.version)
    message = f"statement {count} of {migration.name} is not the last one done"
    return _guard(f"{unfinished} = {count}", message, "Mend what failed, then let `chatdb apply` go on from there.")


def _did(statement: Statement) -> str:
    """Return the guard that a statement which builds or drops an index, or detaches a partition, has done so."""
    build, detach = statement.build, statement.detach
    if detach:
        partition, parent = (sql.Literal(sql.Identifier(*name).as_string()) for name in detach)
        condition = sql.SQL(_DETACHED).format(partition=partition, table=parent).as_string()
        message = f"the partition {detach.partition[-1]} is not detached"
        return _guard(condition, message, "Mend what failed, then let `chatdb apply` go on from there.")
    if build is None or build.action == "reindex":
        return ""
    table = _quoted(build.schema, build.table or build.name)
    if build.action == "drop":
        condition = sql.SQL("to_regclass({}) IS NULL").format(sql.Literal(table)).as_string()
        message = f"the index {build.name} stands still"
    else:
        condition = sql.SQL(_BUILT).format(table=sql.Literal(table), name=sql.Literal(build.name)).as_string()
        message = f"the index {build.name} is not built"
    return _guard(condition, message, "Mend what failed, then let `chatdb apply` go on from there.")


def _quoted(schema: str, name: str) -> str:
    return (sql.Identifier(schema, name) if schema else sql.Identifier(name)).as_string()


def _guard(condition: str, message: str, hint: str) -> str:
    return _GUARD.format(
        condition=condition, message=sql.Literal(message).as_string(), hint=sql.Literal(hint).as_string()
    )
