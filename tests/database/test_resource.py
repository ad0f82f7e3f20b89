"""The migrations as a dynamic resource, called as Pulumi calls it: check, diff, create, update, read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pulumi.output import UNKNOWN

from infra import commit, products
from infra.connection import Target, connect
from infra.migrations import directory, ledger, planner
from infra.migrations.errors import BrokenLedgerError
from infra.migrations.preflight import PrerequisiteMissingError
from infra.migrations.resource import MigrationsProvider
from infra.verification import VerificationFailedError

LYRA = products.load("lyra")
NAMES = [migration.name for migration in directory.read(LYRA.migrations_folder)]
provider = MigrationsProvider()


def inputs(target: Target, **changes: Any) -> dict[str, Any]:
    """Return what the program gives for lyra in this database."""
    return {
        "product": "lyra",
        "migrations": {file.name: file.text.split("\n") for file in directory.read(LYRA.migrations_folder)},
        "host": target.host,
        "port": target.port,
        "database": target.database,
        "user": target.user,
        "password": target.password,
        "owner": target.role,
        "sslMode": target.sslmode,
        "sslRootCert": "",
        "standIns": False,
        "adopt": False,
        "stack": "test",
        **changes,
    }


def checked(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    result = provider.check(olds, news)
    assert result.failures == []
    return result.inputs


@pytest.fixture
def empty(product_database: Callable[..., Target]) -> Target:
    """A database of lyra with the application's tables and nothing of ours."""
    return product_database("lyra")


@pytest.fixture
def made(empty: Target) -> tuple[Target, dict[str, Any]]:
    """The same with everything applied, and the resource's state."""
    state = provider.create(checked({}, inputs(empty))).outs
    assert state is not None
    return empty, state


def test_check_names_what_is_pending(empty: Target) -> None:
    """All of it in an empty database, none once it is applied."""
    first = checked({}, inputs(empty))
    assert first["pending"] == NAMES
    provider.create(first)
    assert checked(first, inputs(empty))["pending"] == []


def test_check_of_a_database_still_to_be_made_takes_all_as_pending(empty: Target) -> None:
    """In a first preview the password is not known; with a retry the database may be missing."""
    assert checked({}, inputs(empty, password=UNKNOWN))["pending"] == NAMES
    assert checked({}, inputs(empty, database="not_there"))["pending"] == NAMES


def test_check_refuses_an_edited_file_in_the_preview(made: tuple[Target, dict[str, Any]]) -> None:
    """The failure is our text; nothing is raised, so Pulumi shows no traceback."""
    target, _ = made
    news = inputs(target)
    news["migrations"][NAMES[0]] = [*news["migrations"][NAMES[0]], "-- edited"]
    failures = provider.check({}, news).failures
    assert [failure.property for failure in failures] == ["migrations"]
    assert failures[0].reason.startswith(f"migration {NAMES[0]} was changed after it was applied\nDETAIL: ")
    assert "\nHINT: " in failures[0].reason


def test_create_applies_all_and_reports_version_and_digest(made: tuple[Target, dict[str, Any]]) -> None:
    """The outputs are the inputs and where the database is."""
    _, state = made
    assert state["version"] == f"{len(NAMES):04d}"
    assert state["digest"].startswith("sha256:")
    assert state["applied"] == NAMES
    assert len(state["ledgerHash"]) == 64


def test_nothing_pending_is_no_change(made: tuple[Target, dict[str, Any]]) -> None:
    """In an update, and in a refresh, which asks with the inputs from before the last update."""
    target, state = made
    assert provider.diff("id", state, checked(state, inputs(target))).changes is False
    before_the_update = {**inputs(target), "pending": NAMES, "undone": []}
    read = provider.read("id", state)
    assert read.outs is not None
    assert provider.diff("id", read.outs, before_the_update).changes is False


def test_what_an_earlier_version_made_gains_the_outputs_it_lacks(made: tuple[Target, dict[str, Any]]) -> None:
    """By one update, after which nothing differs: a stack that takes from this one waits for its release."""
    target, state = made
    before = {key: value for key, value in state.items() if key != "release"}
    news = checked(before, inputs(target))
    assert provider.diff("id", before, news).changes is True
    after = provider.update("id", before, news).outs
    assert after is not None
    assert after["release"]["version"] == state["version"]
    assert provider.diff("id", after, checked(after, inputs(target))).changes is False


@pytest.mark.parametrize("key", ["host", "password", "user"])
def test_a_changed_connection_is_an_update(made: tuple[Target, dict[str, Any]], key: str) -> None:
    """So that a later delete never uses a stale password."""
    _, state = made
    assert provider.diff("id", state, {**state, "pending": [], "undone": [], key: "other"}).changes is True


def test_what_was_undone_by_hand_is_pending_and_an_update(made: tuple[Target, dict[str, Any]]) -> None:
    """A ledger that went back is seen without a refresh, and put right."""
    target, state = made
    with connect(target) as connection:
        connection.execute("DROP SCHEMA chatdb CASCADE")
        connection.execute("DROP TABLE chat_messages")
    news = checked(state, inputs(target))
    assert (news["pending"], news["undone"]) == (NAMES, NAMES)
    assert provider.diff("id", state, news).changes is True
    outs = provider.update("id", state, news).outs
    assert outs is not None
    assert outs["applied"] == NAMES


def test_read_reports_drift_and_the_next_update_refuses_it_by_name(made: tuple[Target, dict[str, Any]]) -> None:
    """A column's default changed by hand is a difference; an update does not hide it."""
    target, state = made
    with connect(target) as connection:
        connection.execute("ALTER TABLE chat_messages ALTER COLUMN is_voice SET DEFAULT true")
    read = provider.read("id", state)
    assert read.outs is not None
    assert len(read.outs["drift"]) == 1
    assert "is_voice" in read.outs["drift"][0]
    news = checked(state, inputs(target))
    assert provider.diff("id", read.outs, news).changes is True
    with pytest.raises(VerificationFailedError, match="lyra is not what version 0003 says"):
        provider.update("id", read.outs, news)


def release_of(outs: dict[str, Any] | None) -> dict[str, Any]:
    assert outs is not None
    released: dict[str, Any] = outs["release"]
    return released


def test_the_release_says_what_was_verified_and_what_the_ledger_says_of_it(made: tuple[Target, dict[str, Any]]) -> None:
    """Version, digests, chained hash and time; the same again when it is read, or updated with nothing to apply."""
    target, state = made
    released = release_of(state)
    with connect(target) as connection:
        newest = connection.execute(
            "SELECT to_char(version, 'FM0000'), chained_hash, extract(epoch FROM date_trunc('second', finished_at)) "
            "FROM chatdb.ledger ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
    applied_at = datetime.fromisoformat(released["appliedAt"]).timestamp()
    assert (released["version"], released["ledgerHash"], applied_at) == newest
    assert released["digest"] == released["digests"]["0003"] == state["digest"]
    assert list(released["digests"]) == ["0001", "0002", "0003"]
    assert released["override"] == ""
    assert release_of(provider.read("id", state).outs) == released
    assert release_of(provider.update("id", state, checked(state, inputs(target))).outs) == released


def test_the_commit_is_that_of_the_run_that_moved_the_ledger(empty: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later run that applies nothing, from another commit, leaves it."""
    monkeypatch.setattr(commit, "current", lambda _folder: "first")
    two = {name: lines for name, lines in inputs(empty)["migrations"].items() if not name.startswith("0003")}
    state = provider.create(checked({}, inputs(empty, migrations=two))).outs
    assert release_of(state)["commit"] == "first"
    monkeypatch.setattr(commit, "current", lambda _folder: "second")
    assert state is not None
    same = provider.update("id", state, checked(state, inputs(empty, migrations=two))).outs
    assert release_of(same)["commit"] == "first"
    moved = provider.update("id", state, checked(state, inputs(empty))).outs
    assert release_of(moved)["commit"] == "second"


def test_what_has_drifted_is_released_as_it_was_verified_last(made: tuple[Target, dict[str, Any]]) -> None:
    """An index dropped by hand: a refresh shows it, and the release stays that of what was verified."""
    target, state = made
    with connect(target) as connection:
        connection.execute("DROP INDEX idx_chat_messages_sender")
    found = provider.read("id", state)
    read, wanted = found.outs, checked(state, inputs(target))
    assert read is not None
    assert read["drift"] != []
    assert read["release"] == state["release"]
    # What a preview compares: nothing but the drift differs, and it goes.
    assert found.inputs == {**wanted, "pending": state["pending"], "drift": read["drift"]}
    assert wanted["drift"] == []
    assert provider.read("id", read).inputs is None


def test_an_override_leaves_its_reason_in_the_ledger_and_in_the_release(empty: Target) -> None:
    """Each row that it let through says so, and the chain of hashes covers it."""
    state = provider.create(checked({}, inputs(empty, promotionOverride="incident 42"))).outs
    assert release_of(state)["override"] == "incident 42"
    with connect(empty) as connection:
        actors = connection.execute("SELECT DISTINCT actor FROM chatdb.ledger").fetchall()
        assert actors == [(f"{empty.user}, promotion override: incident 42",)]
        planner.check_chain(ledger.read(connection))
        connection.execute("UPDATE chatdb.ledger SET actor = %s WHERE sequence = 2", (empty.user,))
        with pytest.raises(BrokenLedgerError, match="row 2"):
            planner.check_chain(ledger.read(connection))


def test_read_of_a_dropped_database_says_it_is_gone(made: tuple[Target, dict[str, Any]]) -> None:
    """Pulumi then makes it again."""
    _, state = made
    assert provider.read("id", {**state, "database": "not_there"}).id is None


def test_a_missing_prerequisite_leaves_nothing_behind(product_database: Callable[..., Target]) -> None:
    """The error is ours, with the table's name; no table of ours stands."""
    target = product_database("lyra", stand_ins=False)
    with pytest.raises(PrerequisiteMissingError, match=r"public\.users"):
        provider.create(checked({}, inputs(target)))
    with connect(target) as connection:
        assert connection.execute("SELECT to_regclass('chat_messages')").fetchone() == (None,)


def test_stand_ins_are_made_where_the_stack_asks(product_database: Callable[..., Target]) -> None:
    """As dev does."""
    target = product_database("lyra", stand_ins=False)
    provider.create(checked({}, inputs(target, standIns=True)))
    with connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_tables_that_stand_are_adopted_where_the_stack_asks(made: tuple[Target, dict[str, Any]]) -> None:
    """The ledger records a baseline; no statement is run."""
    target, _ = made
    with connect(target) as connection:
        connection.execute("DROP SCHEMA chatdb CASCADE")
    outs = provider.create(checked({}, inputs(target, adopt=True))).outs
    assert outs is not None
    assert outs["applied"] == NAMES
    with connect(target) as connection:
        directions = connection.execute("SELECT DISTINCT direction FROM chatdb.ledger").fetchall()
    assert directions == [("baseline",)]
