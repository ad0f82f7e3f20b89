"""Stepping back: newest first, counted, confirmed to the letter, and resumed where it was cut short."""

from __future__ import annotations

import pytest

from infra.connection import Target, connect
from infra.errors import DatabaseError
from infra.migrations import filename, ledger, runner, statements
from infra.migrations.errors import HalfRolledBackError, NoSuchVersionError
from infra.migrations.failures import ConfirmationError, MigrationFailedError, ProductionError
from infra.migrations.options import Hooks, Options
from infra.migrations.rows_at_risk import RowsAtRisk
from tests.support import postgres
from tests.support.migration_files import file, tables

PHRASE = "DELETE CHATS TABLE"
ONLINE_DOWN = "DROP INDEX CONCURRENTLY table_1_id_idx;\nALTER TABLE table_1 DROP COLUMN more;"
FILES = {
    **tables(2),
    "0003_online.sql": file(
        "ALTER TABLE table_1 ADD COLUMN more int;\nCREATE INDEX CONCURRENTLY table_1_id_idx ON table_1 (id, more);",
        ONLINE_DOWN,
        options="transaction:false",
        down_options="transaction:false",
    ),
}
MIGRATIONS = filename.parse_all(FILES)


def objects(target: Target) -> list[str]:
    """Return every table, column and index outside the ledger's schema."""
    with connect(target) as connection:
        found = connection.execute(
            "SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class AS c LEFT JOIN pg_attribute AS a "
            "ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' "
            "WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        return [name for (name,) in found]


def rollback(target: Target, to: int, phrase: str | None = PHRASE, **options: object) -> tuple[str, ...]:
    return runner.rollback(
        target,
        MIGRATIONS,
        to=to,
        options=Options(**options),  # type: ignore[arg-type]
        confirmation=PHRASE,
        phrase=phrase,
    ).names


@pytest.fixture
def applied(database: Target) -> Target:
    """A database with all files applied and two rows in the first table."""
    runner.apply(database, MIGRATIONS, options=Options())
    with connect(database) as connection:
        connection.execute("INSERT INTO table_1 VALUES (1, 'a', 1), (2, 'b', NULL)")
    return database


def test_down_and_up_again_gives_the_same(applied: Target) -> None:
    """Each step back has its row, and the ledger goes on."""
    before = objects(applied)
    assert rollback(applied, 0) == ("0003_online", "0002_table_2", "0001_table_1")
    assert objects(applied) == []
    runner.apply(applied, MIGRATIONS, options=Options())
    assert objects(applied) == before
    rows = runner.status(applied, MIGRATIONS).rows
    assert [(row.sequence, row.version, row.direction) for row in rows] == [
        (1, 1, "up"), (2, 2, "up"), (3, 3, "up"),
        (4, 3, "down"), (5, 2, "down"), (6, 1, "down"),
        (7, 1, "up"), (8, 2, "up"), (9, 3, "up"),
    ]  # fmt: skip


def test_a_step_back_stops_where_it_is_told_and_is_verified_there(applied: Target) -> None:
    """The version that is left is looked at."""
    verified: list[int] = []
    hooks = Hooks(verify=lambda _connection, version: verified.append(version))
    done = runner.rollback(
        applied, MIGRATIONS, to=2, options=Options(), confirmation=PHRASE, phrase=PHRASE, hooks=hooks
    )
    assert (done.names, done.version, verified) == (("0003_online",), 2, [2])
    assert rollback(applied, 2) == ()


PHRASES = {
    "none": (None, "no phrase was given"),
    "empty": ("", "another phrase was given"),
    "other case": ("delete chats table", "another phrase was given"),
    "space": ("DELETE CHATS TABLE ", "another phrase was given"),
    "yes": ("yes", "another phrase was given"),
}


@pytest.mark.parametrize(("phrase", "said"), PHRASES.values(), ids=PHRASES)
def test_without_the_exact_phrase_nothing_changes(applied: Target, *, phrase: str | None, said: str) -> None:
    """The error says what would have been lost."""
    before = objects(applied)
    with pytest.raises(ConfirmationError) as caught:
        rollback(applied, 0, phrase)
    assert str(caught.value) == (
        "the rollback was not confirmed\n"
        "DETAIL: would be lost: public.table_1.more in 2 rows, 0 rows of public.table_2, 2 rows of public.table_1; "
        f"{said}\n"
        "HINT: Type exactly: DELETE CHATS TABLE\n"
        "STATE: Nothing was changed."
    )
    assert objects(applied) == before
    assert len(runner.status(applied, MIGRATIONS).rows) == 3


def test_production_is_not_rolled_back_without_its_override(applied: Target) -> None:
    """Not even with the phrase."""
    with pytest.raises(ProductionError) as caught:
        rollback(applied, 0, production=True, stack="prod")
    assert str(caught.value) == (
        "prod is marked as production: it is not rolled back\n"
        "DETAIL: a down section deletes what was built, with its rows\n"
        "HINT: Write a new migration that leads forward; where it must be: --override-production.\n"
        "STATE: Nothing was changed."
    )
    assert rollback(applied, 2, production=True, production_override=True) == ("0003_online",)


RISKS = {
    "table": ("DROP TABLE IF EXISTS kept, nowhere", [RowsAtRisk("public.kept", 3)]),
    "schema": ("DROP SCHEMA s CASCADE", [RowsAtRisk("s.a", 1), RowsAtRisk("s.b", 2)]),
    "column": ("ALTER TABLE kept DROP COLUMN word", [RowsAtRisk("public.kept", 3, "word")]),
    "truncate": ("TRUNCATE s.a, kept", [RowsAtRisk("s.a", 1), RowsAtRisk("public.kept", 3)]),
    "delete": ("DELETE FROM kept WHERE id = 1", [RowsAtRisk("public.kept", 3)]),
    "partitioned": ("DROP TABLE parts", [RowsAtRisk("public.parts", 4)]),
    "hidden by row security": ("DROP TABLE hidden", [RowsAtRisk("public.hidden", 5)]),
    "nothing": ("DROP INDEX kept_idx; ALTER TABLE kept RENAME TO other", []),
}


@pytest.mark.parametrize(("down", "expected"), RISKS.values(), ids=RISKS)
def test_the_rows_that_would_be_lost_are_counted(database: Target, *, down: str, expected: list[RowsAtRisk]) -> None:
    """Exactly, through partitions and past the row security that its owner is under."""
    up = """
        CREATE TABLE kept (id int, word text); INSERT INTO kept SELECT generate_series(1, 3);
        CREATE INDEX kept_idx ON kept (id);
        CREATE SCHEMA s; CREATE TABLE s.a (id int); CREATE TABLE s.b (id int);
        INSERT INTO s.a VALUES (1); INSERT INTO s.b VALUES (1), (2);
        CREATE TABLE parts (id int) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9); INSERT INTO parts VALUES (1), (2), (3), (4);
        CREATE TABLE hidden (id int); INSERT INTO hidden SELECT generate_series(1, 5);
        ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
    """
    with connect(database) as connection:
        connection.execute(f"CREATE ROLE {database.database}_owner")
        connection.execute(f"ALTER DATABASE {database.database} OWNER TO {database.database}_owner")
    owner = database.to(role=f"{database.database}_owner")
    migrations = filename.parse_all({"0001_a.sql": file(up, down)})
    runner.apply(owner, migrations, options=Options())
    plan, risks = runner.at_risk(owner, migrations, to=0)
    assert ([migration.name for migration in plan.pending], list(risks)) == (["0001_a"], expected)
    with connect(database) as connection:
        assert connection.execute("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'hidden'").fetchone() == (
            True,
        )
        connection.execute(f"ALTER DATABASE {database.database} OWNER TO {database.user}")
        connection.execute(f"DROP OWNED BY {database.database}_owner CASCADE; DROP ROLE {database.database}_owner")


def test_rows_that_may_not_be_counted_are_said(applied: Target) -> None:
    """By a role that may read the ledger and nothing else."""
    reader = postgres.unique("reader")
    with connect(applied) as connection:
        connection.execute(f"CREATE ROLE {reader}; GRANT USAGE ON SCHEMA chatdb TO {reader}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA chatdb TO {reader}")
        try:
            with pytest.raises(DatabaseError) as caught:
                runner.at_risk(applied.to(role=reader), MIGRATIONS, to=0)
        finally:
            connection.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")
    assert str(caught.value) == (
        f"what a rollback of {applied.label} takes cannot be counted\n"
        f"DETAIL: {applied.label}: permission denied for table table_1\n"
        f"HINT: {reader} lacks a privilege: grant it, or connect as a role that has it.\n"
        "STATE: Nothing was changed."
    )


def test_a_down_section_that_fails_leaves_the_version_above_and_says_so(database: Target) -> None:
    """What was undone before it stays undone; nothing of the failed one is."""
    migrations = filename.parse_all(
        {
            **tables(1),
            "0002_a.sql": file("SELECT 1;", "SELECT 1;\nDROP TABLE nowhere;"),
            "0003_b.sql": file("SELECT 1;", "SELECT 1;"),
        }
    )
    runner.apply(database, migrations, options=Options())
    with pytest.raises(MigrationFailedError) as caught:
        runner.rollback(database, migrations, to=0, options=Options(), confirmation=PHRASE, phrase=PHRASE)
    assert caught.value.message == "migration 0002_a failed at line 5 while rolling back"
    assert caught.value.state == (
        "rolled back 0003; failed 0002 at line 5; 0002 left nothing behind; still applied 0001."
    )
    assert runner.status(database, migrations).version == 2


def test_a_rollback_that_was_cut_short_goes_on_and_nothing_else_does(applied: Target) -> None:
    """Half a down section is neither version: applying is refused until it is finished."""
    online = MIGRATIONS[2]
    parts = statements.split(online, "down")
    with connect(applied) as connection:
        connection.execute(ledger.begin(online, "down", 2))
        connection.execute("DROP INDEX table_1_id_idx")
        connection.execute(
            ledger.progress(online, "down", begun=1, done=1, total=2, digest=statements.digest(parts, 1))
        )
    with pytest.raises(HalfRolledBackError) as caught:
        runner.apply(applied, MIGRATIONS, options=Options())
    assert caught.value.hint == "Finish it first: `chatdb rollback --to 0002`."
    assert rollback(applied, 2) == ("0003_online",)
    assert runner.apply(applied, MIGRATIONS, options=Options()).names == ("0003_online",)


@pytest.mark.parametrize("down_options", ["", "transaction:false"], ids=["down in a transaction", "down without one"])
def test_what_was_half_applied_is_undone_as_a_whole_and_applied_anew(database: Target, down_options: str) -> None:
    """The record of how far it came is that of the way back then, so that no statement of either is left out."""
    up = (
        "ALTER TABLE table_1 ADD COLUMN more int;\n"
        "CREATE UNIQUE INDEX CONCURRENTLY table_1_unique_idx ON table_1 (word);"
    )
    down = (
        "ALTER TABLE table_1 DROP COLUMN more;\nDROP INDEX table_1_unique_idx;\n"
        "CREATE TABLE undone AS SELECT count(*) FROM table_1;"
    )
    half = {**tables(2), "0003_half.sql": file(up, down, options="transaction:false", down_options=down_options)}
    migrations = filename.parse_all(half)

    def back(to: int) -> tuple[str, ...]:
        return runner.rollback(database, migrations, to=to, options=Options(), confirmation=PHRASE, phrase=PHRASE).names

    runner.apply(database, migrations, options=Options(), to=2)
    with connect(database) as connection:
        connection.execute("INSERT INTO table_1 VALUES (1, 'same'), (2, 'same')")
    with pytest.raises(MigrationFailedError):
        runner.apply(database, migrations, options=Options())
    with pytest.raises(NoSuchVersionError) as caught:
        back(3)
    assert caught.value.detail == "0003_half is half applied: 1 of 2 statements"
    assert back(2) == ("0003_half",)
    assert objects(database)[-1] == "undone.count"
    assert "table_1.more" not in objects(database)
    assert [(row.version, row.direction) for row in runner.status(database, migrations).rows] == [
        (1, "up"),
        (2, "up"),
        (3, "down"),
    ]
    with connect(database) as connection:
        connection.execute("DELETE FROM table_1; DROP TABLE undone")
    assert runner.apply(database, migrations, options=Options()).names == ("0003_half",)
    assert {"table_1.more", "table_1_unique_idx"} <= set(objects(database))


def test_half_a_way_back_is_no_version_to_be_at(applied: Target) -> None:
    """Neither is it said to be at the version above."""
    with connect(applied) as connection:
        connection.execute(ledger.begin(MIGRATIONS[2], "down", 2))
    with pytest.raises(HalfRolledBackError):
        rollback(applied, 3)


def test_what_somebody_else_built_on_it_is_theirs_to_move(applied: Target) -> None:
    """PostgreSQL's own hint is to drop it too."""
    with connect(applied) as connection:
        connection.execute("CREATE VIEW theirs AS SELECT * FROM table_1")
    with pytest.raises(MigrationFailedError) as caught:
        rollback(applied, 0)
    assert "view theirs depends on" in caught.value.detail
    assert "CASCADE" not in caught.value.hint
