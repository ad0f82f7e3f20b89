"""The offline script: what psql makes of it equals what the runner makes, catalogue and ledger."""

from __future__ import annotations

import os
import subprocess

import pytest

from embedded.server import ServerFile, packaged_bin_folder
from infra.connection import Target, connect
from infra.migrations import filename, ledger, lock, runner, script
from infra.migrations.errors import NoSuchVersionError
from infra.migrations.model import LedgerRow
from infra.migrations.options import Options
from tests.support import postgres
from tests.support.migration_files import file, made, tables

OPTIONS = Options(stack="dév's", tool_version="1.2.3", actor="Ünal")
FILES = {
    **tables(2),
    "0003_function.sql": file(
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a;b'; END $$;\n"
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END -- no semicolon",
        "DROP FUNCTION f(), g();",
    ),
    "0004_online.sql": file(
        "ALTER TABLE table_1 ADD COLUMN more int;\n"
        "CREATE INDEX CONCURRENTLY table_1_more_idx ON table_1 (more);\n"
        "DROP INDEX CONCURRENTLY table_1_word_idx;\n"
        "VACUUM table_1;\n"
        "COMMENT ON COLUMN table_1.more IS 'it''s; more';",
        "ALTER TABLE table_1 DROP COLUMN more;",
        options="transaction:false",
    ),
    "0005_settings.sql": file("SET search_path = pg_catalog;\nCREATE TABLE public.last (id int);", "DROP TABLE last;"),
    "0006_after.sql": file("CREATE TABLE after_it (id int);", "DROP TABLE after_it;"),
}
MIGRATIONS = filename.parse_all(FILES)


def psql(target: Target, text: str, *, stop: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a script through psql as a person would; `more` are variables of the environment."""
    return subprocess.run(
        [str(packaged_bin_folder() / "psql"), "--no-psqlrc", "--quiet", f"--set=ON_ERROR_STOP={int(stop)}", "--file=-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PGHOST": target.host,
            "PGPORT": str(target.port),
            "PGDATABASE": target.database,
            "PGUSER": target.user,
            "PGPASSWORD": target.password,
            **more,
        },
    )


def catalogue(target: Target) -> str:
    """Return the whole schema as pg_dump writes it, with the ledger's."""
    dump = subprocess.run(
        [str(packaged_bin_folder() / "pg_dump"), "--schema-only", "--restrict-key=test"],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PGHOST": target.host,
            "PGPORT": str(target.port),
            "PGDATABASE": target.database,
            "PGUSER": target.user,
            "PGPASSWORD": target.password,
        },
    )
    return dump.stdout


def without_times(rows: list[LedgerRow]) -> list[LedgerRow]:
    """Return rows without what must differ: when they were written, and the hashes over that."""
    return [row._replace(started_at=None, finished_at=None, chained_hash="", expected_hash="") for row in rows]


def rows_of(target: Target) -> list[LedgerRow]:
    with connect(target) as connection:
        return ledger.read(connection)


@pytest.mark.parametrize("stop", [True, False], ids=["stopping at errors", "going on after errors"])
def test_psql_gives_what_the_runner_gives(server: ServerFile, *, stop: bool) -> None:
    """The same catalogue, the same ledger, and the tool finds itself at that version."""
    with postgres.fresh_database(server) as online, postgres.fresh_database(server) as offline:
        runner.apply(online, MIGRATIONS, options=OPTIONS)
        done = psql(offline, script.script(MIGRATIONS, options=OPTIONS), stop=stop)
        assert (done.returncode, done.stderr) == (0, "")
        assert catalogue(offline) == catalogue(online)
        assert without_times(rows_of(offline)) == without_times(rows_of(online))
        assert runner.status(offline, MIGRATIONS).version == 6
        assert runner.apply(offline, MIGRATIONS, options=OPTIONS).names == ()


def test_a_range_goes_on_from_where_the_runner_stopped(database: Target) -> None:
    """And the runner goes on from where the script stopped."""
    runner.apply(database, MIGRATIONS, options=OPTIONS, to=2)
    done = psql(database, script.script(MIGRATIONS, after=2, to=4, options=OPTIONS))
    assert (done.returncode, done.stderr) == (0, "")
    assert runner.apply(database, MIGRATIONS, options=OPTIONS).names == ("0005_settings", "0006_after")


@pytest.mark.parametrize("stop", [True, False], ids=["stopping at errors", "going on after errors"])
def test_a_script_that_is_run_twice_changes_nothing_the_second_time(database: Target, *, stop: bool) -> None:
    """Each part asks first where the database is."""
    text = script.script(MIGRATIONS, options=OPTIONS)
    psql(database, text)
    before = (catalogue(database), rows_of(database))
    again = psql(database, text, stop=stop)
    assert "ERROR:  this part of the script goes on from version 0000, and the database is at another" in again.stderr
    assert "HINT:  Write a new script for the version it is at." in again.stderr
    assert (catalogue(database), rows_of(database)) == before


@pytest.mark.parametrize("stop", [True, False], ids=["stopping at errors", "going on after errors"])
def test_a_script_whose_build_fails_is_finished_by_the_runner(database: Target, *, stop: bool) -> None:
    """The record says how far it came, even where psql goes on after the error."""
    up = (
        "INSERT INTO table_1 VALUES (1, 'same'), (2, 'same');\n"
        "CREATE UNIQUE INDEX CONCURRENTLY table_1_unique_idx ON table_1 (word);\n"
        "CREATE TABLE done (id int);"
    )
    files = {**tables(1), "0002_online.sql": file(up, "", options="transaction:false"), "0003_b.sql": file("SELECT 1;")}
    migrations = filename.parse_all(files)
    done = psql(database, script.script(migrations), stop=stop)
    assert 'could not create unique index "table_1_unique_idx"' in done.stderr
    half = "ERROR:  a migration is half done\nHINT:  Let `chatdb apply` or `chatdb rollback` go on from there."
    if not stop:  # what follows a half-done file does not begin
        assert half in done.stderr
    assert half in psql(database, script.script(migrations, after=1), stop=True).stderr  # nor does it itself, anew
    row = rows_of(database)[-1]
    assert (row.name, row.statements_begun, row.statements_done, row.finished_at) == ("0002_online", 2, 1, None)
    with connect(database) as connection:
        connection.execute("DELETE FROM table_1 WHERE id = 2")
    assert runner.apply(database, migrations, options=OPTIONS).names == ("0002_online", "0003_b")


def test_a_script_whose_detach_fails_does_not_count_it_as_done(database: Target) -> None:
    """Even where psql goes on after the error; the runner brings it to its end."""
    parted = "CREATE TABLE parted (id int) PARTITION BY RANGE (id); CREATE TABLE parted_1 PARTITION OF parted DEFAULT;"
    files = {
        "0001_parted.sql": file(parted),
        "0002_online.sql": file(
            "ALTER TABLE parted DETACH PARTITION parted_1 CONCURRENTLY;", options="transaction:false"
        ),
    }
    migrations = filename.parse_all(files)
    # A partition by default cannot be detached concurrently beside others' partitions.
    done = psql(database, script.script(migrations), stop=False)
    assert "cannot detach partitions concurrently when a default partition exists" in done.stderr
    assert "ERROR:  the partition parted_1 is not detached" in done.stderr
    assert runner.status(database, migrations).version == 1


def test_a_script_is_read_as_it_is_written(database: Target) -> None:
    """Whatever encoding psql takes the terminal to have, and whatever a database makes of a backslash."""
    with connect(database) as connection:
        connection.execute(f'ALTER DATABASE "{database.database}" SET standard_conforming_strings = off')
    online = file("COMMENT ON COLUMN table_1.word IS 'C:\\';", options="transaction:false")
    comment = "COMMENT ON TABLE table_1 IS 'é\\';"
    migrations = filename.parse_all({**tables(1), "0002_a.sql": file(comment), "0003_b.sql": online})
    done = psql(database, script.script(migrations), PGCLIENTENCODING="LATIN1")
    assert (done.returncode, done.stderr) == (0, "")
    with connect(database) as connection:
        found = connection.execute(
            "SELECT obj_description('table_1'::regclass), col_description('table_1'::regclass, 2)"
        )
        assert found.fetchone() == ("é\\", "C:\\")


def test_a_script_does_not_run_beside_a_runner(database: Target) -> None:
    """It takes the same lock, for each part."""
    with connect(database) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (lock.KEY,))
        done = psql(database, script.script(filename.parse_all(tables(1))))
    assert "ERROR:  another run is migrating this database" in done.stderr
    assert rows_of(database) == []


def test_a_script_says_what_it_is_and_how_to_run_it() -> None:
    """The first lines are for the person who gets it."""
    assert script.script(filename.parse_all(tables(2)), after=1).splitlines()[:3] == [
        "-- Leads from version 0001 to 0002: 0002_table_2.",
        "-- Run it as the role that owns the database: psql --set ON_ERROR_STOP=1 --file=THIS",
        "-- Each part refuses to run where the one before it does not stand, so nothing runs twice.",
    ]
    assert script.script(filename.parse_all(tables(2)), after=2) == "-- Nothing is to be done after version 0002.\n"


RANGES = {"after": (9, None), "to": (0, 9), "backwards": (2, 1)}


@pytest.mark.parametrize(("after", "to"), RANGES.values(), ids=RANGES)
def test_a_range_without_files_is_refused(*, after: int, to: int | None) -> None:
    """No empty script that would look as if all were done."""
    with pytest.raises(NoSuchVersionError):
        script.script([made("0001_a"), made("0002_b")], after=after, to=to)
