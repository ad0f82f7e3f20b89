"""Indexes built online: whatever an attempt left behind, the next run ends with a valid index or says what to mend."""

from __future__ import annotations

import threading

import psycopg
import pytest

from embedded.server import ServerFile
from infra.connection import Target, connect
from infra.migrations import filename, gentle, runner
from infra.migrations.failures import InvalidIndexError, MigrationFailedError
from infra.migrations.model import Event, Migration
from infra.migrations.options import Options
from tests.support import postgres
from tests.support.killed import assert_fails_each_time, killed_in_statement
from tests.support.migration_files import file, tables

ONLINE = "transaction:false"
BUILD = "CREATE INDEX CONCURRENTLY online_idx ON public.table_1 (lower(word)) WHERE id > 5"
VARIANTS = {"plain": "", "if not exists": "IF NOT EXISTS "}


def with_statement(text: str, *, options: str = ONLINE) -> tuple[Migration, ...]:
    """Return a table's file and one more with this statement between two others."""
    up = f"ALTER TABLE table_1 ADD COLUMN before int;\n{text};\nALTER TABLE table_1 ADD COLUMN after int;"
    return filename.parse_all({**tables(1), "0002_online.sql": file(up, "", options=options)})


def indexes(target: Target) -> dict[str, bool]:
    """Return the indexes of table_1 and whether each is valid."""
    with connect(target) as connection:
        return dict(
            connection.execute(
                "SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
                "WHERE i.indrelid = 'table_1'::regclass ORDER BY 1"
            ).fetchall()
        )


def leave_invalid(target: Target, name: str = "online_idx") -> None:
    """Leave an INVALID index on table_1: a unique one over duplicates."""
    with connect(target) as connection:
        connection.execute("INSERT INTO table_1 VALUES (1, 'same'), (2, 'same')")
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON table_1 (word)")
        connection.execute("DELETE FROM table_1")


def is_built_with(target: Target, settings: str) -> bool:
    """Build an index of an expression whose function says what is set meanwhile, and look that up in the index.

    Args:
        target: An empty database.
        settings: Helpers, those that read ahead, compression, and how many sessions look who is in the way, after a
            third of a second.
    """
    told = with_statement("CREATE INDEX CONCURRENTLY online_idx ON public.table_1 (public.told(id))")
    runner.apply(target, told, options=Options(), to=1)
    with connect(target) as connection:
        connection.execute(
            "CREATE FUNCTION told(id bigint) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_sleep(0.3); RETURN concat_ws(' ', current_setting('max_parallel_maintenance_workers'), "
            "current_setting('effective_io_concurrency'), current_setting('wal_compression'), "
            "(SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'chatdb monitor' AND datname = current_database())); END $$; "
            "INSERT INTO table_1 VALUES (1, 'a')"
        )
    runner.apply(target, told, options=Options())
    with connect(target) as connection:
        connection.execute("SET enable_seqscan = off; SET max_parallel_maintenance_workers = 2")
        return connection.execute("SELECT count(*) FROM table_1 WHERE told(id) = %s", [settings]).fetchone() == (1,)


def test_an_index_is_built_by_one_process_with_its_wal_compressed(database: Target) -> None:
    """Whatever the server would take: cores and disk are left to those who write; nobody looks who is in the way."""
    with connect(database) as connection:
        assert connection.execute("SHOW max_parallel_maintenance_workers").fetchone() == ("2",)
        assert connection.execute("SHOW wal_compression").fetchone() == ("off",)
    assert is_built_with(database, "0 0 pglz 0")


@pytest.mark.parametrize(
    ("methods", "taken"), [("{pglz,lz4,zstd,on,off}", "lz4"), ("{pglz,on,off}", "on"), (None, "on")]
)
def test_the_wal_is_compressed_by_lz4_where_the_server_is_built_with_it(
    database: Target, methods: str | None, taken: str
) -> None:
    """As its row in pg_settings tells: before PostgreSQL 15 there is nothing to choose from."""
    with connect(database) as connection:
        query = f"SELECT {gentle.COMPRESSION} FROM (SELECT %s::text[] AS enumvals) AS pg_settings"
        assert connection.execute(query.encode(), [methods]).fetchone() == (taken,)


@pytest.mark.parametrize("options", ["", ONLINE], ids=["in a transaction", "without one"])
def test_a_constraint_is_validated_by_one_process(database: Target, options: str) -> None:
    """Nor does it read with others' help: the check itself holds only where that is so."""
    validated = filename.parse_all(
        {**tables(1), "0002_v.sql": file("ALTER TABLE table_1 VALIDATE CONSTRAINT alone", "", options=options)}
    )
    runner.apply(database, validated, options=Options(), to=1)
    with connect(database) as connection:
        assert connection.execute("SHOW effective_io_concurrency").fetchone() != ("0",)
        connection.execute(
            "INSERT INTO table_1 VALUES (1, 'a'); ALTER TABLE table_1 ADD CONSTRAINT alone CHECK "
            "(current_setting('effective_io_concurrency') || current_setting('maintenance_io_concurrency') = '00') "
            "NOT VALID"
        )
    assert runner.apply(database, validated, options=Options()).names == ("0002_v",)


@pytest.mark.parametrize(("granted", "compressed"), [(True, "pglz"), (False, "off")])
def test_a_login_compresses_the_wal_of_a_build_only_where_it_may(
    server: ServerFile, *, granted: bool, compressed: str
) -> None:
    """It acts as the owner, who may not: the login's right counts, and without it the index is built all the same."""
    admin = postgres.make_managed_admin(server)
    owner = postgres.unique("owner")
    with connect(server.target()) as connection:
        connection.execute(f'CREATE ROLE "{owner}"; GRANT "{owner}" TO "{admin.username}"')
        if granted:
            connection.execute(f'GRANT SET ON PARAMETER wal_compression TO "{admin.username}"')
    with postgres.fresh_database(server, owner) as target:
        login = target.to(user=admin.username, password=admin.password, role=owner)
        assert is_built_with(login, f"0 0 {compressed} 0")


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_unique_build_over_duplicates_names_them_and_goes_on_once_they_are_mended(
    database: Target, variant: str
) -> None:
    """What every other runner leaves for good: an INVALID index, and a second run that fails or calls it done."""
    migrations = with_statement(f"CREATE UNIQUE INDEX CONCURRENTLY {variant}online_idx ON table_1 (word)")
    runner.apply(database, migrations, options=Options(), to=1)
    with connect(database) as connection:
        connection.execute("INSERT INTO table_1 VALUES (1, 'same'), (2, 'same')")
    with pytest.raises(MigrationFailedError) as caught:
        runner.apply(database, migrations, options=Options())
    assert str(caught.value) == (
        "migration 0002_online failed at line 3\n"
        'DETAIL: 0002_online.sql:3: could not create unique index "online_idx" — Key (word)=(same) is duplicated.\n'
        "HINT: Mend the duplicates that are named, then run the same command again: it goes on here.\n"
        "STATE: applied 0001; failed 0002 at line 3; the next run goes on at its statement 2."
    )
    row = runner.status(database, migrations).rows[-1]
    assert (row.statements_done, row.statements_total, row.finished_at) == (1, 3, None)
    assert row.error == 'could not create unique index "online_idx" — Key (word)=(same) is duplicated.'
    assert indexes(database)["online_idx"] is False
    with connect(database) as connection:
        connection.execute("DELETE FROM table_1 WHERE id = 2")
    events: list[Event] = []
    applied = runner.apply(database, migrations, options=Options(), report=events.append)
    assert applied.names == ("0002_online",)
    assert indexes(database)["online_idx"] is True
    assert [event.text for event in events if event.kind == "recovering"] == [
        "0002_online: dropping the INVALID index public.online_idx of an attempt that was cut short"
    ]
    row = runner.status(database, migrations).rows[-1]
    assert (row.statements_done, row.error, row.finished_at is None) == (3, "", False)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_build_whose_session_was_ended_is_built_again_in_the_same_run(database: Target, variant: str) -> None:
    """The connection is lost, the index is INVALID: the run connects again, clears it away and goes on."""
    migrations = with_statement(BUILD.replace("online_idx", f"{variant}online_idx"))
    runner.apply(database, migrations, options=Options(), to=1)
    events: list[Event] = []
    with connect(database) as old, connect(database) as other:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1")  # a snapshot that the build waits for

        def end_it() -> None:
            ended = False
            while not ended:
                row = other.execute(
                    "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity "
                    "WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock' AND datname = current_database()"
                ).fetchone()
                ended = bool(row and row[0])
            old.rollback()

        ending = threading.Thread(target=end_it)
        ending.start()
        applied = runner.apply(database, migrations, options=Options(), report=events.append)
        ending.join()
    assert (applied.names, indexes(database)["online_idx"]) == (("0002_online",), True)
    assert [event.kind for event in events].count("retrying") == 1
    assert [event.kind for event in events].count("recovering") == 1


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_build_that_was_done_but_not_recorded_counts_as_done(database: Target, variant: str) -> None:
    """Killed between the index and the record: it is not built a second time."""
    migrations = with_statement(BUILD.replace("online_idx", f"{variant}online_idx"))
    killed_in_statement(database, migrations, 2)
    with connect(database) as connection:
        connection.execute(BUILD)
        oid = connection.execute("SELECT 'online_idx'::regclass::oid").fetchone()
        assert runner.apply(database, migrations, options=Options()).names == ("0002_online",)
        assert connection.execute("SELECT 'online_idx'::regclass::oid").fetchone() == oid


SPELLED = {
    "with the table's name": "(lower(table_1.word), (public.table_1.id + 1)) WHERE table_1.id > 5",
    "with capitals": '(lower(word)) INCLUDE ("id")',
}


@pytest.mark.parametrize("columns", SPELLED.values(), ids=SPELLED)
def test_an_index_is_known_however_its_columns_are_spelled(database: Target, columns: str) -> None:
    """It was built, and the run was killed before the record."""
    build = f'CREATE INDEX CONCURRENTLY "Online idx" ON public.table_1 {columns}'
    migrations = with_statement(build)
    killed_in_statement(database, migrations, 2)
    with connect(database) as connection:
        connection.execute(build)
    assert runner.apply(database, migrations, options=Options()).names == ("0002_online",)


def test_an_index_over_whole_rows_is_not_known_to_be_ours(database: Target) -> None:
    """It cannot be made on a copy of the table: named, with what to do."""
    build = "CREATE INDEX CONCURRENTLY online_idx ON table_1 (told(table_1))"
    migrations = with_statement(build)
    killed_in_statement(database, migrations, 2)
    with connect(database) as connection:
        connection.execute("CREATE FUNCTION told(table_1) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'")
        connection.execute(build)
    with pytest.raises(InvalidIndexError, match="finds another index named"):
        runner.apply(database, migrations, options=Options())


OTHERS = {
    "another column": "CREATE INDEX online_idx ON table_1 (id)",
    "unique": "CREATE UNIQUE INDEX online_idx ON table_1 (lower(word)) WHERE id > 5",
    "without its condition": "CREATE INDEX online_idx ON table_1 (lower(word))",
    "another method": "CREATE INDEX online_idx ON table_1 USING hash (lower(word)) WHERE id > 5",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "not begun"])
def test_another_index_of_the_name_is_never_taken_for_ours(database: Target, *, other: str, begun: bool) -> None:
    """IF NOT EXISTS would take any index of the name."""
    migrations = with_statement(BUILD.replace("online_idx", "IF NOT EXISTS online_idx"))
    if begun:
        killed_in_statement(database, migrations, 2)
    else:
        runner.apply(database, migrations, options=Options(), to=1)
    with connect(database) as connection:
        connection.execute(other)
    with pytest.raises(InvalidIndexError) as caught:
        runner.apply(database, migrations, options=Options())
    assert caught.value.message == "migration 0002_online finds another index named public.online_idx"
    assert caught.value.detail.startswith("it stands already as: CREATE ")


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_an_invalid_index_that_is_not_ours_fails_the_step(database: Target, variant: str) -> None:
    """It is somebody's unfinished work: named, with what to do, and left alone."""
    migrations = with_statement(BUILD.replace("online_idx", f"{variant}online_idx"))
    runner.apply(database, migrations, options=Options(), to=1)
    leave_invalid(database)
    for _ in range(2):
        with pytest.raises(InvalidIndexError) as caught:
            runner.apply(database, migrations, options=Options())
        assert caught.value.message == (
            "migration 0002_online finds an INVALID index public.online_idx that it did not make"
        )
        assert caught.value.hint == "Drop it, then run again: DROP INDEX CONCURRENTLY public.online_idx;"
    with connect(database) as connection:
        connection.execute("DROP INDEX CONCURRENTLY online_idx")
    assert runner.apply(database, migrations, options=Options()).names == ("0002_online",)


def test_an_invalid_index_with_capitals_is_named_as_sql_takes_it(database: Target) -> None:
    """The statement of the hint runs as it stands."""
    migrations = with_statement('CREATE INDEX CONCURRENTLY "Online" ON table_1 (word)')
    runner.apply(database, migrations, options=Options(), to=1)
    leave_invalid(database, '"Online"')
    with pytest.raises(InvalidIndexError) as caught:
        runner.apply(database, migrations, options=Options())
    assert caught.value.hint == 'Drop it, then run again: DROP INDEX CONCURRENTLY public."Online";'


def test_if_not_exists_over_an_invalid_index_fails_a_transactional_file_too(database: Target) -> None:
    """The server would skip it with a notice."""
    migrations = with_statement("CREATE INDEX IF NOT EXISTS online_idx ON table_1 (word)", options="")
    runner.apply(database, migrations, options=Options(), to=1)
    leave_invalid(database)
    with pytest.raises(InvalidIndexError) as caught:
        runner.apply(database, migrations, options=Options())
    assert caught.value.state == "applied 0001; failed 0002; 0002 left nothing behind."


def test_a_drop_that_was_done_but_not_recorded_counts_as_done(database: Target) -> None:
    """Killed between the drop and the record."""
    migrations = with_statement("DROP INDEX CONCURRENTLY table_1_word_idx")
    killed_in_statement(database, migrations, 2)
    with connect(database) as connection:
        connection.execute("DROP INDEX table_1_word_idx")
    assert runner.apply(database, migrations, options=Options()).names == ("0002_online",)


def test_a_drop_of_what_was_never_there_fails(database: Target) -> None:
    """Nor is it believed to be done the next time, where the server has said that it failed."""
    migrations = with_statement("DROP INDEX CONCURRENTLY nowhere_idx")
    assert_fails_each_time(database, migrations, "42704")


REINDEXED = ["INDEX CONCURRENTLY table_1_word_idx", "TABLE CONCURRENTLY table_1", "SCHEMA CONCURRENTLY public"]


@pytest.mark.parametrize("what", [*REINDEXED, "DATABASE CONCURRENTLY {}"])
def test_what_a_reindex_left_behind_is_named_and_cleared_away(database: Target, what: str) -> None:
    """An INVALID _ccnew index costs every writer until somebody drops it."""
    migrations = with_statement(f"REINDEX {what.format(database.database)}")
    killed_in_statement(database, migrations, 2)
    leave_invalid(database, "table_1_word_idx_ccnew")
    events: list[Event] = []
    runner.apply(database, migrations, options=Options(), report=events.append)
    assert [event.text for event in events if event.kind == "recovering"] == [
        "0002_online: dropping the INVALID index public.table_1_word_idx_ccnew of an attempt that was cut short"
    ]
    assert indexes(database) == {"table_1_pkey": True, "table_1_word_idx": True}


def test_what_a_reindex_left_and_the_owner_may_not_drop_is_named(server: ServerFile) -> None:
    """The index of a table's long values is in a schema that is a superuser's alone."""
    owner = postgres.unique("owner")
    with connect(server.target()) as connection:
        connection.execute(f'CREATE ROLE "{owner}"')
    with postgres.fresh_database(server, owner) as target:
        migrations = with_statement("REINDEX TABLE CONCURRENTLY table_1")
        killed_in_statement(target.to(role=owner), migrations, 2)
        with connect(target) as reader, connect(target) as other:
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT * FROM table_1")
            other.execute("SET statement_timeout = '300ms'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                other.execute("REINDEX TABLE CONCURRENTLY table_1")
        events: list[Event] = []
        runner.apply(target.to(role=owner), migrations, options=Options(), report=events.append)
        told = [event.text for event in events if event.kind == "recovering"]
        assert len(told) == 4
        assert told[-1].startswith("0002_online: pg_toast.pg_toast_")
        assert told[-1].endswith("_index_ccnew stays and costs each write: let a superuser drop it")
        assert indexes(target) == {"table_1_pkey": True, "table_1_word_idx": True}


def test_a_statement_that_may_share_a_transaction_runs_exactly_once(database: Target) -> None:
    """It and its record are committed together, so there is no moment in which only one of them stands."""
    up = "INSERT INTO table_1 VALUES (1, 'once');\nCREATE INDEX CONCURRENTLY table_1_id_idx ON table_1 (nonsense);"
    migrations = filename.parse_all({**tables(1), "0002_online.sql": file(up, "", options=ONLINE)})
    for _ in range(2):
        with pytest.raises(MigrationFailedError):
            runner.apply(database, migrations, options=Options())
    mended = filename.parse_all(
        {**tables(1), "0002_online.sql": file(up.replace("nonsense", "id"), "", options=ONLINE)}
    )
    assert runner.apply(database, mended, options=Options()).names == ("0002_online",)
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM table_1").fetchone() == (1,)
    row = runner.status(database, mended).rows[-1]
    assert (row.checksum, row.statements_done, row.statements_total) == (mended[1].checksum, 2, 2)
