"""The ledger is a chain: an edited, removed, moved or forged row is found and named."""

from __future__ import annotations

import pytest

from embedded.server import ServerFile
from infra.connection import Target, connect
from infra.errors import DatabaseError
from infra.migrations import filename, ledger, ledger_sql, planner, runner
from infra.migrations.errors import BrokenLedgerError
from infra.migrations.options import Options
from tests.support import postgres
from tests.support.migration_files import file, tables

FILES = {**tables(3), "0004_online.sql": file("SELECT 1;\nSELECT 2;", "SELECT 3;", options="transaction:false")}
EDITED = "its hash does not follow from the row before it and its own fields: it was edited, moved or forged"
FORGED = (
    "INSERT INTO chatdb.ledger SELECT {sequence}, 5, '0005_x', checksum, direction, 1, 1, 1, '', started_at, "
    "finished_at, actor, stack, tool_version, '', '{hash}' FROM chatdb.ledger WHERE sequence = 1"
)
TAMPERINGS = {
    "checksum edited": (
        "UPDATE chatdb.ledger SET checksum = 'sha256:0' WHERE sequence = 2",
        "row 2 (up 0002_table_2)",
        EDITED,
    ),
    "actor edited": (
        "UPDATE chatdb.ledger SET actor = 'somebody' WHERE sequence = 1",
        "row 1 (up 0001_table_1)",
        EDITED,
    ),
    "time edited": (
        "UPDATE chatdb.ledger SET finished_at = finished_at - interval '1 us' WHERE sequence = 3",
        "row 3 (up 0003_table_3)",
        EDITED,
    ),
    "time beyond all calendars": (
        "UPDATE chatdb.ledger SET started_at = '20000-01-01', finished_at = 'infinity' WHERE sequence = 3",
        "row 3 (up 0003_table_3)",
        EDITED,
    ),
    "time before all calendars": (
        "UPDATE chatdb.ledger SET started_at = '-infinity', finished_at = '0044-03-15 BC' WHERE sequence = 3",
        "row 3 (up 0003_table_3)",
        EDITED,
    ),
    "error edited": ("UPDATE chatdb.ledger SET error = 'none' WHERE sequence = 4", "row 4 (up 0004_online)", EDITED),
    "newest edited": ("UPDATE chatdb.ledger SET stack = 'prod' WHERE sequence = 4", "row 4 (up 0004_online)", EDITED),
    "hash edited": (
        "UPDATE chatdb.ledger SET chained_hash = 'f00' WHERE sequence = 2",
        "row 2 (up 0002_table_2)",
        EDITED,
    ),
    "newest made unfinished": (
        "UPDATE chatdb.ledger SET finished_at = NULL, chained_hash = '' WHERE sequence = 4",
        "row 4 (up 0004_online)",
        EDITED,
    ),
    "first removed": (
        "DELETE FROM chatdb.ledger WHERE sequence = 1",
        "row 1",
        "removed or renumbered: row 2 (up 0002_table_2) follows row 0",
    ),
    "middle removed": (
        "DELETE FROM chatdb.ledger WHERE sequence = 2",
        "row 2",
        "removed or renumbered: row 3 (up 0003_table_3) follows row 1",
    ),
    "two removed": (
        "DELETE FROM chatdb.ledger WHERE sequence IN (2, 3)",
        "rows 2 to 3",
        "removed or renumbered: row 4 (up 0004_online) follows row 1",
    ),
    "newest removed": (
        "DELETE FROM chatdb.ledger WHERE sequence = 4",
        "row 4",
        "chatdb.head knows it as the newest; it was removed",
    ),
    "removed and closed up": (
        "DELETE FROM chatdb.ledger WHERE sequence = 2; "
        "UPDATE chatdb.ledger SET sequence = sequence - 1 WHERE sequence > 2",
        "row 2 (up 0003_table_3)",
        EDITED,
    ),
    "swapped": (
        "UPDATE chatdb.ledger SET sequence = -sequence WHERE sequence IN (2, 3); "
        "UPDATE chatdb.ledger SET sequence = 5 + sequence WHERE sequence < 0",
        "row 2 (up 0003_table_3)",
        EDITED,
    ),
    "forged behind the newest": (FORGED.format(sequence=5, hash="abc"), "row 5 (up 0005_x)", EDITED),
    "all removed": ("DELETE FROM chatdb.ledger", "row 4", "chatdb.head knows it as the newest; it was removed"),
    "head removed": ("DELETE FROM chatdb.head", "row 1 (up 0001_table_1)", EDITED),
    "head moved back": (
        "UPDATE chatdb.head SET (sequence, chained_hash) = "
        "(SELECT sequence, chained_hash FROM chatdb.ledger WHERE sequence = 3)",
        "row 4 (up 0004_online)",
        EDITED,
    ),
}


@pytest.mark.parametrize(("statement", "row", "reason"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_ledger_changed_by_hand_is_found_and_the_row_named(
    database: Target, *, statement: str, row: str, reason: str
) -> None:
    """Nothing is planned on a history that is not true."""
    migrations = filename.parse_all(FILES)
    runner.apply(database, migrations, options=Options(stack="dev"))
    with connect(database) as connection:
        connection.execute(statement)
    with pytest.raises(BrokenLedgerError) as caught:
        runner.apply(database, migrations, options=Options())
    with pytest.raises(BrokenLedgerError, match="row"):
        runner.status(database, migrations)
    assert (caught.value.message, caught.value.detail) == (f"the ledger was changed by hand at {row}", reason)


PARTS = {
    "head": (
        "DROP TABLE chatdb.head CASCADE",
        "chatdb.head",
        "the table is not there, and chatdb.ledger is",
        "the table",
    ),
    "ledger": (
        "DROP TABLE chatdb.ledger CASCADE",
        "chatdb.ledger",
        "the table is not there, and chatdb.head is",
        "the table",
    ),
    "column": (
        "ALTER TABLE chatdb.ledger DROP COLUMN actor CASCADE",
        "chatdb.ledger or chatdb.head",
        "column l.actor does not exist",
        "what is missing",
    ),
}


@pytest.mark.parametrize(("statement", "place", "reason", "lost"), PARTS.values(), ids=PARTS)
def test_a_ledger_without_one_of_its_parts_is_not_taken_for_none(
    database: Target, *, statement: str, place: str, reason: str, lost: str
) -> None:
    """Else the database would count as new; what is missing is not made anew either."""
    migrations = filename.parse_all(FILES)
    runner.apply(database, migrations, options=Options(), to=1)
    tables_there = "SELECT relname FROM pg_class WHERE relnamespace = 'chatdb'::regnamespace AND relkind = 'r'"
    with connect(database) as connection:
        connection.execute(statement)
        before = connection.execute(tables_there).fetchall()
        for read in (
            lambda: runner.status(database, migrations),
            lambda: runner.apply(database, migrations, options=Options()),
            lambda: runner.at_risk(database, migrations, to=0),
            lambda: ledger.read(connection),
        ):
            with pytest.raises(BrokenLedgerError) as caught:
                read()
            assert str(caught.value) == (
                f"the ledger was changed by hand at {place}\n"
                f"DETAIL: {reason}\n"
                f"HINT: Compare chatdb.ledger with a backup and `chatdb verify`, restore {lost}, then run again.\n"
                "STATE: Nothing was changed."
            )
        assert connection.execute(tables_there).fetchall() == before


def test_a_ledger_that_cannot_be_read_now_is_said_with_what_to_do(database: Target) -> None:
    """A status gives up like any other statement, by the budget of its role."""
    migrations = filename.parse_all(FILES)
    runner.apply(database, migrations, options=Options(), to=1)
    hasty = database.to(further=(("options", "-c lock_timeout=20"),))
    with connect(database) as connection, connection.transaction():
        connection.execute("LOCK TABLE chatdb.ledger")
        with pytest.raises(DatabaseError) as caught:
            runner.status(hasty, migrations)
    assert str(caught.value) == (
        f"the ledger of {database.label} cannot be read\n"
        f"DETAIL: {database.label}: canceling statement due to lock timeout\n"
        "HINT: Another session holds the lock: let it end, or run the command again.\n"
        "STATE: Nothing was changed."
    )


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_ledger_is_text_in_a_database_of_any_encoding(server: ServerFile, encoding: str) -> None:
    """Without asking for it, psycopg would read bytes from a database in SQL_ASCII."""
    migrations = filename.parse_all(FILES)
    with postgres.fresh_database(server, encoding=encoding) as target:
        for to in (3, 4):  # the second one reads what the first one wrote
            runner.apply(target, migrations, options=Options(stack="dév", actor="Ünal"), to=to)
        status = runner.status(target, migrations)
        done = runner.rollback(target, migrations, to=3, options=Options(), confirmation="", phrase="")
    assert (status.version, {(row.stack, row.actor) for row in status.rows}) == (4, {("dév", "Ünal")})
    assert done.names == ("0004_online",)


def test_a_chain_holds_whatever_the_session_shows_times_in(database: Target) -> None:
    """The hash does not depend on TimeZone, DateStyle or the like."""
    migrations = filename.parse_all(FILES)
    runner.apply(database, migrations, options=Options(stack="dév", actor="Ünal"))
    with connect(database) as connection:
        name = database.database
        connection.execute(f"ALTER DATABASE {name} SET TimeZone = 'Asia/Kathmandu'")
        connection.execute(f"ALTER DATABASE {name} SET DateStyle = 'German'")
        connection.execute(f"ALTER DATABASE {name} SET extra_float_digits = -5")
    status = runner.status(database, migrations)
    assert (status.version, {row.actor for row in status.rows}) == (4, {"Ünal"})


def test_a_fingerprint_of_another_major_is_taken_anew(database: Target) -> None:
    """It only saves following the chain: where it does not fit and the chain holds, nothing is wrong."""
    migrations = filename.parse_all(FILES)
    runner.apply(database, migrations, options=Options(), to=3)
    with connect(database) as connection:
        connection.execute("UPDATE chatdb.head SET fingerprint = 4711")
        assert runner.apply(database, migrations, options=Options(), to=3).names == ()
        assert runner.apply(database, migrations, options=Options()).names == ("0004_online",)
        _, sound = ledger.standing_of(connection.execute(ledger_sql.READ_STANDING).fetchall())
    assert sound


def test_what_stands_is_read_as_the_whole_ledger_says(database: Target) -> None:
    """Through steps back and forth the short way of reading leads to the same plan as the long one."""
    migrations = filename.parse_all(FILES)
    runner.apply(database, migrations, options=Options())
    for to in (1, 0):
        runner.rollback(database, migrations, to=to, options=Options(), confirmation="", phrase="")
        runner.apply(database, migrations, options=Options(), to=2)
        with connect(database) as connection:
            rows, sound = ledger.standing_of(connection.execute(ledger_sql.READ_STANDING).fetchall())
            whole = ledger.read(connection)
        assert sound
        assert planner.plan(migrations, rows, chained=False) == planner.plan(migrations, whole)
