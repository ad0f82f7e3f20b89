"""Databases that exist already: taken over by a record, after a look, with the other tools' ledgers as evidence."""

from __future__ import annotations

import psycopg
import pytest

from infra.connection import Target, connect
from infra.errors import ChatdbError
from infra.migrations import filename, foreign_ledgers, runner
from infra.migrations.errors import NoSuchVersionError
from infra.migrations.failures import LedgerAccessError
from infra.migrations.foreign_ledgers import ForeignLedger
from infra.migrations.model import Plan
from infra.migrations.options import Hooks, Options
from tests.support.migration_files import tables
from tests.support.postgres import unique

MIGRATIONS = filename.parse_all(tables(3))
OPTIONS = Options(stack="dev")


def by_hand(target: Target, count: int) -> None:
    """Make the tables of the first files without any tool."""
    with connect(target) as connection:
        for migration in MIGRATIONS[:count]:
            connection.execute(migration.up)


def test_a_baseline_records_and_runs_nothing(database: Target) -> None:
    """Afterwards only what is newer is applied."""
    by_hand(database, 2)
    verified: list[int] = []
    hooks = Hooks(verify=lambda _connection, version: verified.append(version))
    recorded = runner.baseline(database, MIGRATIONS, to=2, options=OPTIONS, hooks=hooks)
    assert (recorded.names, recorded.baselined, recorded.version, verified) == (
        (),
        ("0001_table_1", "0002_table_2"),
        2,
        [2],
    )
    rows = runner.status(database, MIGRATIONS).rows
    assert [(row.version, row.direction, row.stack) for row in rows] == [(1, "baseline", "dev"), (2, "baseline", "dev")]
    assert runner.apply(database, MIGRATIONS, options=OPTIONS).names == ("0003_table_3",)


def test_a_shape_that_differs_is_not_recorded(database: Target) -> None:
    """The look comes first."""

    def differs(_connection: psycopg.Connection[object], _version: int) -> None:
        raise ChatdbError("the shape differs")

    with pytest.raises(ChatdbError, match="the shape differs"):
        runner.baseline(database, MIGRATIONS, to=1, options=OPTIONS, hooks=Hooks(verify=differs))
    assert runner.status(database, MIGRATIONS).rows == ()


def test_a_managed_database_is_not_baselined_again(database: Target) -> None:
    """Its ledger is the truth already."""
    runner.apply(database, MIGRATIONS, options=OPTIONS, to=1)
    with pytest.raises(NoSuchVersionError) as caught:
        runner.baseline(database, MIGRATIONS, to=2, options=OPTIONS)
    assert str(caught.value) == (
        "cannot go to version 0002\n"
        "DETAIL: the ledger is at 0001: this database is managed already\n"
        "HINT: Go on with `chatdb apply` or `chatdb rollback`.\n"
        "STATE: Nothing was changed."
    )


@pytest.mark.parametrize("to", [-1, 0, 4])
def test_a_baseline_needs_a_version_that_has_a_file(database: Target, to: int) -> None:
    """There is nothing to compare with otherwise: those there are are named before anything is compared."""

    def compared(_connection: psycopg.Connection[object], version: int) -> None:
        raise ChatdbError(f"version {version} has no snapshot")

    with pytest.raises(NoSuchVersionError) as caught:
        runner.baseline(database, MIGRATIONS, to=to, options=OPTIONS, hooks=Hooks(verify=compared))
    assert caught.value.detail == "it has no file; there are: 0001 to 0003"
    assert caught.value.hint == "Name a version that has a file."


def test_what_another_role_recorded_is_handed_over_by_what_the_refusal_says(database: Target) -> None:
    """A superuser records the baseline, and the owner of the tables is to go on."""
    owner = unique("goes_on")
    with connect(database) as connection:
        connection.execute(f"CREATE ROLE {owner}; GRANT CREATE ON SCHEMA public TO {owner}".encode())
    by_hand(database.to(role=owner), 1)
    runner.baseline(database, MIGRATIONS, to=1, options=OPTIONS)
    with pytest.raises(LedgerAccessError) as caught:
        runner.apply(database.to(role=owner), MIGRATIONS, options=OPTIONS)
    said, _, statements = caught.value.hint.partition(", as an administrator: ")
    assert said == f"Connect as {database.user}, whose it is (or act as it); where {owner} is to migrate"
    with connect(database) as connection:
        connection.execute(statements.encode())
    assert runner.apply(database.to(role=owner), MIGRATIONS, options=OPTIONS).names == ("0002_table_2", "0003_table_3")
    with connect(database) as connection:
        connection.execute(f"DROP OWNED BY {owner}; DROP ROLE {owner}".encode())


def test_what_the_hook_before_the_first_adopts_is_not_run(database: Target) -> None:
    """Through the setting `adopt` a table that stands already is taken over in the same run."""
    by_hand(database, 1)

    def before(_connection: psycopg.Connection[object], _plan: Plan) -> int:
        return 1

    applied = runner.apply(database, MIGRATIONS, options=OPTIONS, hooks=Hooks(before=before))
    assert (applied.baselined, applied.names) == (("0001_table_1",), ("0002_table_2", "0003_table_3"))


LEDGERS = {
    "Alembic": (
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); "
        "INSERT INTO alembic_version VALUES ('779affdda697')",
        ForeignLedger("Alembic", "public.alembic_version", "779affdda697", 1),
        "Alembic at 779affdda697 (public.alembic_version, 1 row)",
    ),
    "Drizzle": (
        "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, "
        "created_at bigint); "
        "INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('a', 1700), ('b', 1800)",
        ForeignLedger("Drizzle", "drizzle.__drizzle_migrations", "1800", 2),
        "Drizzle at 1800 (drizzle.__drizzle_migrations, 2 rows)",
    ),
    "dbmate": (
        "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY); "
        "INSERT INTO schema_migrations VALUES ('20240101'), ('20240202')",
        ForeignLedger("dbmate", "public.schema_migrations", "20240202", 2),
        "dbmate at 20240202 (public.schema_migrations, 2 rows)",
    ),
    "golang-migrate": (
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); "
        "INSERT INTO schema_migrations VALUES (12, true)",
        ForeignLedger("golang-migrate", "public.schema_migrations", "12 (dirty)", 1),
        "golang-migrate at 12 (dirty) (public.schema_migrations, 1 row)",
    ),
    "Flyway": (
        "CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description text, "
        "success boolean NOT NULL); "
        "INSERT INTO flyway_schema_history VALUES (1, '1', '', true), (2, '1.10', '', true), "
        "(3, '2', '', false)",
        ForeignLedger("Flyway", "public.flyway_schema_history", "1.10", 2),
        "Flyway at 1.10 (public.flyway_schema_history, 2 rows)",
    ),
    "Prisma": (
        "CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, migration_name text, finished_at timestamptz, "
        "rolled_back_at timestamptz); INSERT INTO _prisma_migrations VALUES ('a', '2024_first', now(), NULL), "
        "('b', '2024_second', NULL, NULL)",
        ForeignLedger("Prisma", "public._prisma_migrations", "2024_first", 1),
        "Prisma at 2024_first (public._prisma_migrations, 1 row)",
    ),
    "empty": (
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        ForeignLedger("Alembic", "public.alembic_version", "none", 0),
        "Alembic at none (public.alembic_version, 0 rows)",
    ),
}


@pytest.mark.parametrize(("statements", "ledger", "named"), LEDGERS.values(), ids=LEDGERS)
def test_the_ledger_of_another_tool_is_known(
    database: Target, *, statements: str, ledger: ForeignLedger, named: str
) -> None:
    """Its tool, version and number of migrations."""
    with connect(database) as connection:
        connection.execute(statements)
        found = foreign_ledgers.read(connection)
    assert (found, foreign_ledgers.sentence(found)) == ((ledger,), f"other tools were here: {named}")


def test_a_table_that_only_has_such_a_name_is_no_ledger(database: Target) -> None:
    """The columns decide; Ecto's schema_migrations has others than dbmate's."""
    with connect(database) as connection:
        connection.execute(
            "CREATE TABLE alembic_version (id int); "
            "CREATE TABLE schema_migrations (version bigint, inserted_at timestamp)"
        )
        found = foreign_ledgers.read(connection)
    assert (found, foreign_ledgers.sentence(found)) == ((), "")


ODD_LEDGERS = {
    "jsonb": "CREATE TABLE schema_migrations (version jsonb); INSERT INTO schema_migrations VALUES ('{}')",
    "dirty int": "CREATE TABLE schema_migrations (version bigint, dirty int); "
    "INSERT INTO schema_migrations VALUES (1, 0)",
    "success text": "CREATE TABLE flyway_schema_history (installed_rank int, version text, success text); "
    "INSERT INTO flyway_schema_history VALUES (1, '1', 'yes')",
}


@pytest.mark.parametrize("statements", ODD_LEDGERS.values(), ids=ODD_LEDGERS)
def test_a_ledger_of_other_types_than_its_tools_stops_nothing(database: Target, statements: str) -> None:
    """It is named as one that cannot be read, and the connection goes on."""
    with connect(database) as connection:
        connection.execute(statements.encode())
        ((_, _, version, migrations),) = foreign_ledgers.read(connection)
        assert (version, migrations) == ("?", 0)
        assert connection.execute("SHOW row_security").fetchall() == [("on",)]


def test_a_ledger_that_its_tool_holds_is_not_waited_for(database: Target) -> None:
    """A migration of the other tool may last for hours."""
    with connect(database) as connection, connect(database) as tool:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        with tool.transaction():
            tool.execute("LOCK TABLE alembic_version")
            found = foreign_ledgers.read(connection)
    assert found == (ForeignLedger("Alembic", "public.alembic_version", "?", 0),)
    assert str(found[0]) == "Alembic at ? (public.alembic_version, which cannot be read)"


def test_a_ledger_whose_rows_are_hidden_is_not_called_empty(database: Target) -> None:
    """Row security would leave none to count."""
    with connect(database) as connection:
        connection.execute(
            "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('1'); "
            "ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY; CREATE ROLE hidden; "
            "GRANT SELECT ON alembic_version TO hidden; SET ROLE hidden"
        )
        found = foreign_ledgers.read(connection)
        connection.execute("RESET ROLE; DROP OWNED BY hidden; DROP ROLE hidden")
    assert found == (ForeignLedger("Alembic", "public.alembic_version", "?", 0),)


def test_what_another_tool_wrote_does_not_reach_the_terminal_as_it_is(database: Target) -> None:
    """ESC would colour or move it, a line end forge a line of ours."""
    with connect(database) as connection:
        connection.execute(
            "CREATE TABLE alembic_version (version_num text); "
            "INSERT INTO alembic_version VALUES (E'\\x1b[31mred\\nSTATE: é')"
        )
        (found,) = foreign_ledgers.read(connection)
    assert str(found) == r"Alembic at \x1b[31mred\nSTATE: é (public.alembic_version, 1 row)"


def test_a_ledger_that_may_not_be_read_is_named_all_the_same(database: Target) -> None:
    """That it is there is evidence enough."""
    with connect(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text); CREATE ROLE blind; SET ROLE blind")
        found = foreign_ledgers.read(connection)
        connection.execute("RESET ROLE; DROP ROLE blind")
    assert found == (ForeignLedger("Alembic", "public.alembic_version", "?", 0),)
