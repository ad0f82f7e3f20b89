"""`chatdb status` and `chatdb history`: what the ledger says, to people and to machines."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable

from infra.connection import Target, connect
from tests.cli.conftest import Shell

Make = Callable[..., Target]


def test_status_names_what_is_pending_with_exit_status_2(product_database: Make, shell: Shell) -> None:
    """0 once nothing is."""
    target = product_database("lyra")
    shell.done(target, "apply", "--product", "lyra", "--to", "1")
    done = shell.run(target, "status", "--product", "lyra")
    assert (done.returncode, done.stdout) == (
        2,
        "lyra is at 0001\n  pending: 0002_index_history\n  pending: 0003_vacuum_after_inserts\n",
    )
    shell.done(target, "apply", "--product", "lyra")
    assert shell.done(target, "status", "--product", "lyra") == "lyra is at 0003\n"


def test_status_says_how_far_a_half_done_file_has_come(product_database: Make, own_shell: Shell) -> None:
    """The statement that failed is mended, and the next run goes on with it."""
    target = product_database("lyra")
    file = own_shell.project.folder / "schema/lyra/migrations/0004_two.sql"
    head = "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY lyra_one ON public.chat_messages (text);\n"
    file.write_text(head + "SELECT 1 / 0;\n-- migrate:down transaction:false\n")
    snapshots = own_shell.project.folder / "schema/lyra/snapshots"
    shutil.copy(snapshots / "0003.json", snapshots / "0004.json")  # without one nothing would be applied
    failed = own_shell.run(target, "apply", "--product", "lyra")
    assert "division by zero" in failed.stderr
    done = own_shell.run(target, "status", "--product", "lyra")
    assert done.stdout == "lyra is at 0003\n  pending: 0004_two (1 of 2 statements done)\n"
    assert "division by zero" in own_shell.done(target, "history", "--product", "lyra")


def test_history_says_which_way_a_half_done_file_was_going(product_database: Make, shell: Shell) -> None:
    """Back, where a rollback was cut short."""
    target = product_database("insights")
    shell.done(target, "apply", "--product", "insights", "--to", "2")
    with connect(target) as connection:
        connection.execute(
            "INSERT INTO chatdb.ledger SELECT 3, version, name, checksum, 'down', 1, 1, 2, '', now(), NULL, actor, "
            "stack, tool_version FROM chatdb.ledger WHERE sequence = 2"
        )
    assert "undoing: 1 of 2 statements done" in shell.done(target, "history", "--product", "insights")


def test_history_has_date_migration_description_and_status(product_database: Make, shell: Shell) -> None:
    """The columns of the robotics document, one row for each thing that was done, and by whom."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics", "--to", "2")
    shell.done(target, "rollback", "--product", "robotics", "--to", "-1", "--confirm", "DELETE CHATS TABLE")
    table = shell.done(target, "history", "--product", "robotics")
    cells = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in table.splitlines()]
    header = next(row for row in cells if row[0].startswith("date"))
    assert header == ["date (UTC)", "migration", "description", "status", "by", "stack"]
    body = [row[1:5] for row in cells if row[0].startswith("20")]
    assert body == [
        ["0001", "create chats", "applied", target.user],
        ["0002", "index history", "applied", target.user],
        ["0002", "index history", "undone", target.user],
    ]


def test_a_table_for_a_file_is_as_wide_as_it_needs(product_database: Make, shell: Shell) -> None:
    """No name is broken over two lines; where a width is asked for, all of it is there all the same."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics")
    narrow = shell.done(target, "history", "--product", "robotics", COLUMNS="70")
    wide = shell.done(target, "history", "--product", "robotics", COLUMNS="")
    assert "describe personal data" in wide
    assert max(map(len, narrow.splitlines())) == 70 < len(wide.splitlines()[2])
    assert "…" not in narrow


def test_history_as_json_is_the_whole_ledger(product_database: Make, shell: Shell) -> None:
    """Every field, the hashes too; times as ISO 8601 has them."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics", "--to", "1")
    (row,) = json.loads(shell.done(target, "history", "--product", "robotics", "--json"))
    assert row["name"] == "0001_create_chats"
    assert row["direction"] == "up"
    assert len(row["chained_hash"]) == 64
    assert row["chained_hash"] == row["expected_hash"]
    for time in (row["started_at"], row["finished_at"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", time), time


def test_history_of_a_database_that_was_not_migrated(database: Target, shell: Shell) -> None:
    """Is a sentence, not an empty table."""
    said = shell.done(database, "history", "--product", "lyra")
    assert said == "nothing was done to this database by chatdb: lyra is at 0000\n"


def test_history_is_readable_whatever_became_of_the_files(product_database: Make, own_shell: Shell) -> None:
    """An edited and a missing file stop `status`, not `history`."""
    target = product_database("lyra")
    own_shell.done(target, "apply", "--product", "lyra")
    folder = own_shell.project.folder / "schema/lyra/migrations"
    (folder / "0003_vacuum_after_inserts.sql").unlink()
    assert own_shell.run(target, "status", "--product", "lyra").returncode == 1
    assert "vacuum after inserts" in own_shell.done(target, "history", "--product", "lyra")


def test_a_ledger_that_was_changed_by_hand_is_shown_and_named(product_database: Make, shell: Shell) -> None:
    """The rows are printed, the error names the one, exit status 1."""
    target = product_database("lyra")
    shell.done(target, "apply", "--product", "lyra")
    with connect(target) as connection:
        connection.execute("UPDATE chatdb.ledger SET actor = 'nobody' WHERE sequence = 2")
    done = shell.run(target, "history", "--product", "lyra")
    assert done.returncode == 1
    assert "nobody" in done.stdout
    assert done.stderr.splitlines()[0] == "the ledger was changed by hand at row 2 (up 0002_index_history)"
