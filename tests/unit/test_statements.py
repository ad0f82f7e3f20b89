"""How sections are split and what may not stand in them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.migrations import errors, statements
from infra.migrations.filename import parse
from infra.migrations.kinds import IndexBuild
from tests.support.migration_files import file, made

ONLINE = "transaction:false"

UNCHANGED = "\nSTATE: Nothing was changed."


def test_statements_are_split_as_the_server_would() -> None:
    """Semicolons in dollar quotes, in BEGIN ATOMIC and in comments do not split."""
    up = (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n"
        "-- a comment; with a semicolon\n"
        "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 1; END $body$;\n"
        "/* ; */ INSERT INTO t VALUES (';', E'\\';', $$;$$);;\n"
        "SELECT 'é;' -- no semicolon at the end"
    )
    migration = made("0001_a", up, options=ONLINE)
    assert [(part.number, part.line, part.text.split("(")[0]) for part in statements.split(migration)] == [
        (1, 2, "CREATE FUNCTION f"),
        (2, 4, "CREATE FUNCTION g"),
        (3, 5, "INSERT INTO t VALUES "),
        (4, 6, "SELECT 'é;' -- no semicolon at the end\n"),
    ]


KINDS = {
    "table": ("CREATE TABLE t (a int)", True, False),
    "index": ("CREATE INDEX i ON t (a)", True, False),
    "index concurrently": ("CREATE INDEX CONCURRENTLY i ON t (a)", False, True),
    "drop concurrently": ("DROP INDEX CONCURRENTLY i", False, True),
    "reindex concurrently": ("REINDEX INDEX CONCURRENTLY i", False, True),
    "reindex": ("REINDEX TABLE t", True, False),
    "reindex schema": ("REINDEX SCHEMA public", False, False),
    "validate": ("ALTER TABLE t VALIDATE CONSTRAINT c", True, True),
    "validate and add": ("ALTER TABLE t VALIDATE CONSTRAINT c, ADD COLUMN b int", True, False),
    "vacuum": ("VACUUM t", False, True),
    "vacuum full": ("VACUUM (FULL) t", False, False),
    "analyze": ("ANALYZE t", True, True),
    "update": ("UPDATE t SET a = 1", True, True),
    "detach": ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", False, True),
    "procedure": ("CALL p()", False, False),
    "block": ("DO $$ BEGIN PERFORM 1; END $$", True, False),
    "block that commits": ("DO $$ BEGIN COMMIT; END $$", False, False),
    "database": ("CREATE DATABASE d", False, False),
    "system": ("ALTER SYSTEM SET work_mem = '1MB'", False, False),
    "refresh concurrently": ("REFRESH MATERIALIZED VIEW CONCURRENTLY m", True, True),
}


@pytest.mark.parametrize(("text", "atomic", "patient"), KINDS.values(), ids=KINDS)
def test_each_kind_of_statement_is_known(*, text: str, atomic: bool, patient: bool) -> None:
    """What may share a transaction with its record, and what may wait long because it holds nobody up."""
    (part,) = statements.split(made("0001_a", text, options=ONLINE))
    assert (part.atomic, part.patient) == (atomic, patient)


BUILDS = {
    "create": ("CREATE INDEX CONCURRENTLY i ON s.t (a)", IndexBuild("create", "s", "i", "t", if_not_exists=False)),
    "create if not exists": (
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
        IndexBuild("create", "", "i", "t", if_not_exists=True),
    ),
    "drop": ("DROP INDEX CONCURRENTLY s.i", IndexBuild("drop", "s", "i", "", if_not_exists=False)),
    "reindex index": ("REINDEX INDEX CONCURRENTLY s.i", IndexBuild("reindex", "s", "i", "", if_not_exists=False)),
    "reindex table": ("REINDEX TABLE CONCURRENTLY t", IndexBuild("reindex", "", "", "t", if_not_exists=False)),
    "reindex schema": ("REINDEX SCHEMA CONCURRENTLY s", IndexBuild("reindex", "s", "", "", if_not_exists=False)),
    "reindex database": ("REINDEX DATABASE CONCURRENTLY", IndexBuild("reindex", "", "", "", if_not_exists=False)),
    "plain": ("CREATE INDEX i ON t (a)", None),
}


@pytest.mark.parametrize(("text", "build"), BUILDS.values(), ids=BUILDS)
def test_an_index_that_is_built_online_is_known(text: str, build: IndexBuild | None) -> None:
    """Its name and table are what a second attempt looks for."""
    (part,) = statements.split(made("0001_a", text, options=ONLINE))
    assert part.build == build


REFUSED = {
    "begin": (
        "SELECT 1;\nBEGIN;",
        "",
        errors.TransactionControlError,
        "migration 0001_a has BEGIN at line 3\n"
        "DETAIL: the file and its ledger row are one transaction already; this would break it apart\n"
        "HINT: Remove it.",
    ),
    "commit": (
        "commit work;",
        "",
        errors.TransactionControlError,
        "migration 0001_a has COMMIT WORK at line 2\n"
        "DETAIL: the file and its ledger row are one transaction already; this would break it apart\n"
        "HINT: Remove it.",
    ),
    "begin in an online file": (
        "START TRANSACTION;",
        ONLINE,
        errors.TransactionControlError,
        "migration 0001_a has START TRANSACTION at line 2\n"
        "DETAIL: the file runs statement by statement, so that each can be recorded and none runs twice\n"
        "HINT: Remove it; write what must be one step as one file.",
    ),
    "concurrently": (
        "\nCREATE INDEX CONCURRENTLY i ON t (a);",
        "",
        errors.NeedsNoTransactionError,
        "migration 0001_a has CREATE INDEX CONCURRENTLY at line 3, which cannot run inside a transaction\n"
        "DETAIL: the file runs as one transaction with its ledger row\n"
        "HINT: Move it to a migration of its own that begins `-- migrate:up transaction:false`.",
    ),
    "vacuum": (
        "VACUUM t;",
        "",
        errors.NeedsNoTransactionError,
        "migration 0001_a has VACUUM at line 2, which cannot run inside a transaction\n"
        "DETAIL: the file runs as one transaction with its ledger row\n"
        "HINT: Move it to a migration of its own that begins `-- migrate:up transaction:false`.",
    ),
    "psql include": (
        "SELECT 1;\n\\i other.sql\n",
        "",
        errors.PsqlCommandError,
        "migration 0001_a has the psql command \\i at line 3\n"
        "DETAIL: psql carries such commands out itself; the server, Pulumi and other runners cannot\n"
        "HINT: Write it as SQL: the contents of an included file, the value of a variable, a plain statement.",
    ),
    "psql gexec": (
        "SELECT 'SELECT 1' \\gexec",
        "",
        errors.PsqlCommandError,
        "migration 0001_a has the psql command \\gexec at line 2\n"
        "DETAIL: psql carries such commands out itself; the server, Pulumi and other runners cannot\n"
        "HINT: Write it as SQL: the contents of an included file, the value of a variable, a plain statement.",
    ),
    "copy": (
        "COPY t FROM STDIN;\n1\t'\n\\.\n",
        "",
        errors.CopyFromStdinError,
        "migration 0001_a has COPY FROM STDIN at line 2\n"
        "DETAIL: a migration is sent as statements; there is no stream beside it that the rows could travel in\n"
        "HINT: Write INSERT ... VALUES, or load the data by a job of its own.",
    ),
    "unnamed": (
        "CREATE INDEX CONCURRENTLY ON t (a);",
        ONLINE,
        errors.UnnamedIndexError,
        "migration 0001_a builds an index without a name at line 2\n"
        "DETAIL: an attempt that is cut short leaves the index INVALID; only by its name is it found again\n"
        "HINT: Name it: CREATE INDEX CONCURRENTLY table_column_idx ON ...",
    ),
    "syntax": (
        "SELECT 1;\nCREATE TABEL t;",
        ONLINE,
        errors.SyntaxMistakeError,
        "migration 0001_a cannot be parsed at line 3\n"
        'DETAIL: syntax error at or near "TABEL"\n'
        "HINT: Mend the statement; `psql` shows the same error.",
    ),
}


@pytest.mark.parametrize(("up", "options", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_run_is_refused_before_it_runs(
    up: str, options: str, kind: type[errors.MigrationError], sentence: str
) -> None:
    """Each has its own error with the line of the file."""
    (mistake,) = statements.check(made("0001_a", up, options=options))
    assert (type(mistake), str(mistake)) == (kind, sentence + UNCHANGED)


ALLOWED = {
    "begin in a function": "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;",
    "begin atomic": "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END;",
    "words in strings": "INSERT INTO t VALUES ('COMMIT; \\i x', 'CONCURRENTLY');",
    "words in comments": "SELECT 1; -- BEGIN; \\copy\n/* COMMIT */",
    "backslash in a string": r"INSERT INTO t VALUES (E'\n', '\');",
    "copy from a file": "COPY t FROM '/tmp/x';",
    "columns named so": 'SELECT "begin", "end" FROM t;',
}


@pytest.mark.parametrize("up", ALLOWED.values(), ids=ALLOWED)
def test_what_only_looks_dangerous_is_allowed(up: str) -> None:
    """The parser decides, not the letters."""
    assert statements.check(made("0001_a", up)) == []


def test_the_down_section_is_checked_with_its_own_lines() -> None:
    """Its errors name the line of the file, and its own marker."""
    migration = parse("0001_a.sql", file("SELECT 1;", "SELECT 1;\nDROP INDEX CONCURRENTLY i;"))
    (mistake,) = statements.check(migration, "down")
    assert mistake.message == (
        "migration 0001_a has DROP INDEX CONCURRENTLY at line 5, which cannot run inside a transaction"
    )
    assert mistake.hint == "Move it to a migration of its own that begins `-- migrate:down transaction:false`."


def test_a_plain_file_is_planned_without_loading_the_parser() -> None:
    """The parser, pydantic, Pulumi and rich cost time that a run with nothing to do must not pay."""
    program = (
        "import sys; from infra.migrations import runner, planner, directory; "
        "from tests.support.migration_files import made; "
        "planner.plan([made('0001_a', 'CREATE TABLE t (a int);')], []); "
        "print([name for name in ('pglast', 'pydantic', 'pulumi', 'rich', 'typer') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
