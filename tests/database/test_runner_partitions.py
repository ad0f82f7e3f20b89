"""Partitioned tables: what must stand outside a transaction there, and a partition detached while others read."""

from __future__ import annotations

import threading

import psycopg
import pytest

from infra.connection import Target, connect
from infra.migrations import filename, runner
from infra.migrations.failures import MigrationFailedError
from infra.migrations.model import Migration
from infra.migrations.options import Options
from tests.support.killed import assert_fails_each_time, killed_in_statement
from tests.support.migration_files import file

ONLINE = "transaction:false"
PARTITIONED = {
    "0001_parted.sql": file(
        "CREATE TABLE parted (id int) PARTITION BY RANGE (id);\n"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (2);\n"
        "CREATE INDEX parted_idx ON parted (id);"
    )
}
DETACH = "ALTER TABLE public.parted DETACH PARTITION parted_1 CONCURRENTLY"


def with_statement(text: str, *, options: str = ONLINE) -> tuple[Migration, ...]:
    """Return a partitioned table's file and one more with this statement."""
    return filename.parse_all({**PARTITIONED, "0002_online.sql": file(f"{text};", "", options=options)})


def leave_pending(target: Target) -> None:
    """Cut a detach short while it waits for a reader."""
    with connect(target) as reader, connect(target) as other:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM parted")
        other.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            other.execute(DETACH)


def is_detached(target: Target) -> bool:
    """Return whether the partition is a table of its own."""
    with connect(target) as connection:
        found = connection.execute(
            "SELECT to_regclass('parted_1'), count(*) FROM pg_inherits WHERE inhrelid = 'parted_1'::regclass"
        ).fetchone()
    return found == ("parted_1", 0)


@pytest.mark.parametrize("what", ["REINDEX TABLE parted", "REINDEX INDEX parted_idx"])
def test_what_only_the_server_knows_to_stand_alone_runs_alone(database: Target, what: str) -> None:
    """Its text does not tell that the table is partitioned; inside a transaction the hint says where it belongs."""
    inside = with_statement(what, options="")
    with pytest.raises(MigrationFailedError) as caught:
        runner.apply(database, inside, options=Options())
    assert caught.value.hint == ("Move it to a migration of its own, whose section is marked `transaction:false`.")
    assert runner.apply(database, with_statement(what), options=Options()).names == ("0002_online",)


def test_a_partition_is_detached_while_somebody_reads_it(database: Target) -> None:
    """It waits for them, and holds nobody up meanwhile."""
    migrations = with_statement(DETACH)
    runner.apply(database, migrations, options=Options(), to=1)
    with connect(database) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM parted")
        ending = threading.Timer(1.0, reader.rollback)
        ending.start()
        assert runner.apply(database, migrations, options=Options()).names == ("0002_online",)
        ending.join()
    assert is_detached(database)


@pytest.mark.parametrize("far", ["announced", "pending", "done"])
def test_a_detach_that_was_cut_short_is_brought_to_its_end(database: Target, far: str) -> None:
    """The server refuses the same statement once the partition is pending, or detached."""
    migrations = with_statement(DETACH)
    killed_in_statement(database, migrations, 1)
    if far == "pending":
        leave_pending(database)
    elif far == "done":
        with connect(database) as connection:
            connection.execute(DETACH)
    assert is_detached(database) is (far == "done")
    assert runner.apply(database, migrations, options=Options()).names == ("0002_online",)
    assert is_detached(database)


def test_a_detach_of_what_is_no_partition_fails_each_time(database: Target) -> None:
    """It is not taken for one that was done and not recorded."""
    migrations = with_statement("ALTER TABLE parted DETACH PARTITION nowhere CONCURRENTLY")
    assert_fails_each_time(database, migrations, "42P01")


def test_what_a_reindex_left_on_a_partition_is_cleared_away(database: Target) -> None:
    """Named is the partitioned table; built again were the indexes of its partitions."""
    migrations = with_statement("REINDEX TABLE CONCURRENTLY parted")
    killed_in_statement(database, migrations, 1)
    with connect(database) as connection:
        connection.execute("INSERT INTO parted VALUES (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY parted_1_id_idx_ccnew ON parted_1 (id)")
    runner.apply(database, migrations, options=Options())
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)
