"""Fuzzed files and ledgers: a plan or one of our errors, never another exception.

The number of cases is CHATDB_FUZZ_CASES, 300 by default; with 10000 it is the long run:
`CHATDB_FUZZ_CASES=10000 pytest tests/unit/test_planner_fuzz.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import ChatdbError
from infra.migrations import filename, planner, script
from infra.migrations.errors import MigrationError
from infra.migrations.model import LedgerRow, Migration, Plan
from tests.support.migration_files import WHEN, row

CASES = settings(
    max_examples=int(os.environ.get("CHATDB_FUZZ_CASES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

FRAGMENTS = st.sampled_from(
    [
        "-- migrate:up",
        "-- migrate:up transaction:false",
        "-- migrate:down",
        "-- migrate:down transaction:false",
        "--migrate:up",
        "-- migrate:",
        "-- a comment",
        "/* open",
        "*/",
        "SELECT 1;",
        "SELECT 'a;b'",
        "CREATE TABLE t (a int);",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);",
        "CREATE INDEX IF NOT EXISTS i ON t (a);",
        "CREATE INDEX CONCURRENTLY ON t (a);",
        "DROP INDEX CONCURRENTLY i;",
        "REINDEX TABLE CONCURRENTLY t;",
        "ALTER TABLE t VALIDATE CONSTRAINT c;",
        "VACUUM;",
        "BEGIN;",
        "END;",
        "COPY t FROM STDIN;",
        "\\i x",
        "\\.",
        "DO $$ BEGIN COMMIT; END $$;",
        "$tag$",
        "'",
        '"',
        ";",
        "é",
        "\r",
        "\0",
        "\ufeff",
        "\ud800",
    ]
)
TEXTS = st.one_of(
    st.builds("\n".join, st.lists(st.one_of(FRAGMENTS, st.text(max_size=20)), max_size=12)),
    # Most of these are files that can be planned, so that the ledger below has something to stand on.
    st.builds(
        lambda up, down, option: f"-- migrate:up {option}\n{up}\n-- migrate:down\n{down}\n",
        st.sampled_from(["SELECT 1;", "SELECT 1; SELECT 2;", "CREATE TABLE t (a int);", "SELECT '"]),
        st.sampled_from(["", "SELECT 3;", "DROP INDEX CONCURRENTLY i;"]),
        st.sampled_from(["", "transaction:false"]),
    ),
)
NAMES = st.one_of(
    st.builds(lambda version, name: f"{version:04d}_{name}.sql", st.integers(0, 6), st.sampled_from("ab")),
    st.text(max_size=12),
)
ROWS = st.builds(
    LedgerRow,
    st.integers(-1, 5),
    st.integers(-1, 6),
    st.sampled_from(["0001_a", "0002_b", ""]),
    st.sampled_from(["sha256:0", ""]),
    st.sampled_from(["up", "down", "baseline", "removed", "sideways"]),
    finished_at=st.sampled_from([None, WHEN]),
    statements_done=st.integers(-1, 4),
    statements_digest=st.sampled_from(["", "x"]),
    expected_hash=st.sampled_from(["", "", "x"]),
)


@CASES
@given(files=st.dictionaries(NAMES, TEXTS, max_size=5))
def test_any_files_give_migrations_or_our_error(files: dict[str, str]) -> None:
    """Whatever is on disk."""
    try:
        read = filename.parse_all(files)
    except MigrationError as error:
        assert error.message
        assert error.hint
        return
    assert len(read) == len(files)
    assert all(migration.text == files[f"{migration.name}.sql"] for migration in read)


@CASES
@given(data=st.data(), texts=st.lists(TEXTS, min_size=1, max_size=5), to=st.one_of(st.none(), st.integers(-1, 7)))
def test_any_ledger_gives_a_plan_or_our_error(data: st.DataObject, texts: list[str], to: int | None) -> None:
    """Whatever the table holds: rows that fit the files, rows that do not, in any order."""
    migrations: list[Migration] = []
    for number, text in enumerate(texts, 1):
        try:
            migrations.append(filename.parse(f"{number:04d}_a.sql", text))
        except MigrationError:
            continue
    fitting = [row(migration, number) for number, migration in enumerate(migrations, 1)]
    rows = data.draw(
        st.one_of(
            st.integers(0, len(fitting)).map(lambda count: fitting[:count]),
            st.lists(st.one_of(ROWS, *map(st.just, fitting)), max_size=6),
        )
    )
    plans: list[Callable[[], Plan]] = [
        lambda: planner.plan(migrations, rows, to=to),
        lambda: planner.plan_back(migrations, rows, to=to or 0),
    ]
    for plan in plans:
        try:
            made = plan()
        except MigrationError as error:
            assert error.message
            assert error.hint
        else:
            assert set(made.pending).isdisjoint(made.applied)
    try:
        script.script(migrations, after=0, to=to)
    except ChatdbError as error:
        assert error.hint
