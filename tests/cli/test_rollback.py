"""`chatdb rollback`: the phrase to the letter, what would be lost, and production."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.access import connection_string
from infra import products
from infra.connection import Target, connect
from tests.cli.conftest import Shell

Make = Callable[..., Target]
PHRASE = "DELETE CHATS TABLE"


@pytest.fixture
def chats(product_database: Make, shell: Shell) -> Target:
    """Robotics at its newest version, with one chat."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics")
    with connect(target) as connection:
        connection.execute(
            "WITH u AS (INSERT INTO users (name, email, hashed_password) VALUES ('a', 'b', 'c') RETURNING id) "
            "INSERT INTO chats (user_id, query, response) SELECT id, 'q', 'r' FROM u"
        )
    return target


def rows(target: Target) -> int | None:
    """Return how many chats there are; None where the table is gone."""
    with connect(target) as connection:
        if connection.execute("SELECT to_regclass('public.chats')").fetchone() == (None,):
            return None
        found = connection.execute("SELECT count(*) FROM chats").fetchone()
    return int(found[0]) if found else 0


def at_terminal(shell: Shell, target: Target, typed: bytes, *arguments: str) -> tuple[int, str]:
    """Run a rollback at a terminal, type something, and return the exit status and all that was shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "rollback", "--product", "robotics", "--owner", target.role, *arguments],
        cwd=shell.project.folder,
        env=shell.project.variables(DATABASE_URL=connection_string(target), TERM="dumb"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    answered = False
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if not answered and b"to go on: " in shown:
            os.write(master, typed)
            answered = True
    os.close(master)
    return process.wait(), shown.decode()


GIVEN = {
    "small letters": ("--confirm", "delete chats table"),
    "a space after": ("--confirm", "DELETE CHATS TABLE "),
    "a space before": ("--confirm", " DELETE CHATS TABLE"),
    "two spaces": ("--confirm", "DELETE  CHATS TABLE"),
    "nothing": ("--confirm", ""),
    "yes": ("--confirm", "yes"),
    "another product's": ("--confirm", "DELETE LYRA MESSAGES"),
    "no terminal": (),
}


@pytest.mark.parametrize("arguments", GIVEN.values(), ids=GIVEN)
def test_anything_but_the_phrase_changes_nothing(arguments: tuple[str, ...], chats: Target, shell: Shell) -> None:
    """Exit status 1, the rows and the ledger are as they were; the phrase piped in is no terminal either."""
    done = shell.run(chats, "rollback", "--product", "robotics", "--to", "0", *arguments, typed=f"{PHRASE}\n")
    assert done.returncode == 1
    said = "another phrase was given" if arguments else "no phrase was given"
    assert done.stderr.endswith(
        "the rollback was not confirmed\n"
        f"DETAIL: would be lost: 1 row of public.chats; {said}\n"
        f"HINT: Type exactly: {PHRASE}\n"
        "STATE: Nothing was changed.\n"
    )
    assert rows(chats) == 1
    assert json.loads(shell.done(chats, "status", "--product", "robotics", "--json"))["version"] == 4


TYPED = {"small letters": b"delete chats table\n", "end of input": b"\x04", "an empty line": b"\n"}


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED)
def test_anything_else_typed_at_the_terminal_changes_nothing(typed: bytes, chats: Target, shell: Shell) -> None:
    """The prompt names the phrase; only that goes on."""
    status, shown = at_terminal(shell, chats, typed, "--to", "0")
    assert status == 1
    assert f"Type {PHRASE} to go on: " in shown
    assert "the rollback was not confirmed" in shown
    assert rows(chats) == 1


def test_the_phrase_typed_at_the_terminal_undoes(chats: Target, shell: Shell) -> None:
    """With the warning, what is undone, and the rows that go, before the question."""
    status, shown = at_terminal(shell, chats, f"{PHRASE}\n".encode(), "--to", "0")
    assert status == 0, shown
    before, _, after = shown.replace("\r\n", "\n").partition(f"Type {PHRASE} to go on: ")
    assert before == (
        f"database: {chats.host}/{chats.database}\n"
        "WARNING: This deletes the table chats and all its data permanently.\n"
        "to undo: 0004_describe_personal_data, 0003_vacuum_after_inserts, 0002_index_history, 0001_create_chats\n"
        "  1 row of public.chats\n"
    )
    assert after.endswith("\nrobotics is at 0000\n")
    assert rows(chats) is None


def test_the_phrase_may_be_given_by_an_option(chats: Target, shell: Shell) -> None:
    """As JSON: what was undone and what was lost; then the product can be applied again."""
    done = shell.done(chats, "rollback", "--product", "robotics", "--to", "0", "--confirm", PHRASE, "--json")
    assert json.loads(done) == {
        "product": "robotics",
        "version": 0,
        "undone": [
            "0004_describe_personal_data",
            "0003_vacuum_after_inserts",
            "0002_index_history",
            "0001_create_chats",
        ],
        "lost": [{"table": "public.chats", "column": "", "rows": 1}],
    }
    assert shell.done(chats, "apply", "--product", "robotics").endswith("\nrobotics is at 0004\n")


def test_minus_one_is_one_step_back(chats: Target, shell: Shell) -> None:
    """As `downgrade -1` of other tools; -2 is two, and more than there are is an error."""
    back = ("rollback", "--product", "robotics", "--confirm", PHRASE)
    assert shell.done(chats, *back, "--to", "-1") == "robotics is at 0003\n"
    assert shell.done(chats, *back, "--to", "-2") == "robotics is at 0001\n"
    done = shell.run(chats, *back, "--to", "-2")
    assert done.returncode == 1
    assert done.stderr == (
        "cannot step back 2 versions\n"
        "DETAIL: the database is at 0001; 1 versions are applied\n"
        "HINT: Step back less; --to 0 undoes everything.\n"
        "STATE: Nothing was changed.\n"
    )
    assert rows(chats) == 1


def test_a_rollback_to_where_it_is_has_nothing_to_do(chats: Target, shell: Shell) -> None:
    """It asks for nothing."""
    said = shell.done(chats, "rollback", "--product", "robotics", "--to", "0004")
    assert said == "nothing to do: robotics is at 0004\n"


@pytest.mark.parametrize("name", products.names())
def test_the_warning_of_each_product_is_shown(name: str, product_database: Make, shell: Shell) -> None:
    """Before anything is asked; its own phrase undoes all of it."""
    target = product_database(name)
    product = products.load(name)
    shell.done(target, "apply", "--product", name)
    done = shell.run(target, "rollback", "--product", name, "--to", "0", "--confirm", product.confirmation)
    assert done.returncode == 0, done.stderr
    assert f"WARNING: {product.warning}\n" in done.stderr
    assert done.stdout == f"{name} is at 0000\n"


REFUSED = (
    "prod is marked as production: it is not rolled back\n"
    "DETAIL: a down section deletes what was built, with its rows\n"
    "HINT: Write a new migration that leads forward; where it must be: --override-production.\n"
    "STATE: Nothing was changed.\n"
)


def test_a_production_stack_is_not_rolled_back_without_its_override_and_a_backup(
    chats: Target, shell: Shell, tmp_path: Path
) -> None:
    """The right phrase is not enough; with the override it is, once a backup is proven."""
    url = connection_string(chats)
    back = ("rollback", "--product", "robotics", "--to", "3", "--stack", "prod", "--url", url)
    done = shell.run(chats, *back, "--confirm", PHRASE)
    assert (done.returncode, done.stderr) == (1, REFUSED)
    assert shell.run(chats, *back, "--override-production").returncode == 1
    everything = (*back, "--confirm", PHRASE, "--override-production")
    nowhere = shell.run(chats, *everything, "--backup-to", "/dev/null/x")
    assert "backups cannot be written to /dev/null/x" in nowhere.stderr
    assert rows(chats) == 1
    assert shell.done(chats, *everything, "--backup-to", str(tmp_path)) == "robotics is at 0003\n"
    (manifest,) = tmp_path.glob("prod/robotics/*/manifest.json")
    assert json.loads(manifest.read_text())["contents"]["rows"]["public.chats"] == 1


def test_a_database_that_a_production_stack_migrated_is_known_by_its_ledger(
    product_database: Make, shell: Shell
) -> None:
    """Also where it is reached by its connection string alone."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics", "--stack", "prod", "--url", connection_string(target))
    done = shell.run(target, "rollback", "--product", "robotics", "--to", "0", "--confirm", PHRASE)
    assert (done.returncode, done.stderr) == (1, REFUSED)
    assert rows(target) == 0
