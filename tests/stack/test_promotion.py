"""Promotion from one stack to another: what the gate lets through, what it refuses, and what a promotion leaves.

`dev` has an embedded server; `live` stands on a server of its own and takes from dev only. The tests of a module run in
their order, and each says what it starts from.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from embedded.server import ServerFile
from infra.connection import connect
from tests.stack.test_bad_input import gone_afterwards, is_clean_error, own
from tests.support.project import Project

NAMES = ["lyra", "robotics"]
RATING = "0005_note_rating"
WAIT_LIMIT_S = 120


@pytest.fixture(scope="module")
def stacks(project: Project, own_server: ServerFile) -> Iterator[Project]:
    """The two stacks, neither of them up."""
    project.succeed("config", "set", "--stack", "dev", "chatdb:products", json.dumps(NAMES))
    project.write_stack("live", own(own_server, products=NAMES, standIns=True, promoteFrom="dev"))
    done = project.chatdb("config", "set", "--stack", "live", "--secret", "chatdb:password", typed=own_server.password)
    assert done.returncode == 0, done.stderr
    with gone_afterwards(project, "dev"):
        yield project


def write_migration(project: Project, name: str, statement: str, columns: dict[str, str]) -> Path:
    """Write a migration of robotics that adds columns, with its snapshot; return its file."""
    folder = project.folder / "schema/robotics"
    file = folder / f"migrations/{name}.sql"
    down = "".join(f"ALTER TABLE public.chats DROP COLUMN {column};\n" for column in columns)
    file.write_text(
        f"-- Readers rate an answer. Locks public.chats.\n\n-- migrate:up\n\n{statement}\n\n-- migrate:down\n\n{down}"
    )
    number = int(name[:4])
    snapshot = json.loads((folder / f"snapshots/{number - 1:04d}.json").read_text())
    for column, type_ in columns.items():
        snapshot["tables"]["chats"]["columns"][column] = {"type": type_, "nullable": True}
    (folder / f"snapshots/{number:04d}.json").write_text(json.dumps(snapshot))
    return file


ADDRESSES: dict[str, str] = {}


def address(project: Project, stack: str) -> str:
    """Return how to reach robotics in a stack; asked of `chatdb url` once."""
    if stack not in ADDRESSES:
        command = ("url", "--stack", stack, "--product", "robotics", "--role", "migrator")
        ADDRESSES[stack] = project.succeed(*command).strip()
    return ADDRESSES[stack]


def ask(project: Project, stack: str, query: str) -> list[tuple[Any, ...]]:
    """Run a statement on robotics in a stack, as its owner, and return its rows."""
    with psycopg.connect(address(project, stack), autocommit=True) as connection:
        connection.execute("SET ROLE robotics_owner")
        done = connection.execute(query.encode())
        return done.fetchall() if done.description else []


def release(project: Project, stack: str) -> dict[str, Any]:
    outputs: dict[str, Any] = json.loads(project.succeed("stack", "output", "--stack", stack, "--json"))["release"]
    return outputs


def version(project: Project) -> int:
    """Return the version of robotics that the ledger of `live` says."""
    ((found,),) = ask(project, "live", "SELECT version FROM chatdb.ledger ORDER BY sequence DESC LIMIT 1")
    return int(found)


def test_a_source_that_is_not_up_is_named_before_anything_is_made(stacks: Project) -> None:
    """The gate refuses update and promotion; there is no state of `live` afterwards."""
    for command in (["up", "--stack", "live", "--yes"], ["promote", "--to", "live"]):
        done = stacks.chatdb(*command)
        assert is_clean_error(done)
        assert re.match("(stack .* on the .*\n)?stack dev.* is not up\n", done.stderr), done.stderr
        assert "chatdb up --stack dev" in done.stderr
    assert not (stacks.folder / ".chatdb/live/stack.json").exists()


def test_the_first_promotion_brings_everything_that_the_source_released(stacks: Project) -> None:
    """Versions and digests become those of dev; the result for machines says what was done."""
    stacks.succeed("up", "--stack", "dev", "--yes")
    done = json.loads(stacks.succeed("promote", "--from", "dev", "--to", "live", "--yes", "--json"))
    assert (done["from"], done["to"], done["promoted"]) == ("dev", "live", True)
    assert {name: (fact["from"], fact["verified"]) for name, fact in done["products"].items()} == dict.fromkeys(
        NAMES, ("0000", True)
    )
    (migrations,) = [change for change in done["changes"] if change["name"] == "lyra-migrations"]
    assert "CREATE TABLE IF NOT EXISTS public.chat_messages (" in "".join(migrations["pending"].values())
    assert {"key": "chatdb:password", "first": "", "second": "[secret]"} in done["settings"]
    ours, theirs = release(stacks, "dev"), release(stacks, "live")
    for name in NAMES:
        assert theirs[name]["version"] == done["products"][name]["to"]
        assert {**theirs[name], "ledgerHash": "", "appliedAt": ""} == {**ours[name], "ledgerHash": "", "appliedAt": ""}
    user = "INSERT INTO users (name, email, hashed_password) VALUES ('a', 'a@example.com', '') RETURNING id"
    insert = (
        f"WITH u AS ({user}) INSERT INTO chats (user_id, query, response) SELECT id, 'why', 'so' FROM u RETURNING 1"
    )
    assert ask(stacks, "live", insert) == [(1,)]


def test_nothing_to_promote_is_said_and_no_error(stacks: Project) -> None:
    """Exit status 0, no question, and the next `up` has nothing to do either."""
    said = stacks.succeed("promote", "--to", "live")
    assert "  lyra  0003 as it is\n" in said
    assert said.endswith("nothing to promote: stack live has what dev has released\n")
    assert json.loads(stacks.succeed("promote", "--to", "live", "--json"))["promoted"] is False
    assert stacks.succeed("up", "--stack", "live", "--yes").startswith("nothing to do: ")
    stacks.succeed("refresh", "--stack", "live", "--yes", "--expect-no-changes")


def test_a_stack_takes_from_its_own_source_only(stacks: Project) -> None:
    """Another one, itself or none is refused, with the setting that says so."""
    done = stacks.chatdb("promote", "--from", "prod", "--to", "live")
    assert is_clean_error(done)
    assert "stack live takes from stack dev, not from prod" in done.stderr
    done = stacks.chatdb("promote", "--to", "dev")
    assert is_clean_error(done)
    assert "stack dev takes from no stack" in done.stderr


def test_what_the_source_has_not_released_is_refused(stacks: Project) -> None:
    """A new file: preview, update and promotion name product and versions, and nothing changes."""
    write_migration(stacks, RATING, "ALTER TABLE public.chats ADD COLUMN rating bigint;", {"rating": "bigint"})
    for command in (["preview", "--stack", "live"], ["up", "--stack", "live", "--yes"], ["promote", "--to", "live"]):
        done = stacks.chatdb(*command)
        assert is_clean_error(done)
        assert "stack dev has not released what stack live would bring" in done.stderr
        assert "robotics 0005: dev has released 0004, and is stale: these files go up to 0005" in done.stderr
        assert "lyra" not in done.stderr.partition("DETAIL")[2].partition("HINT")[0]
    assert version(stacks) == 4


def test_a_pull_request_previews_what_is_not_released_yet(stacks: Project) -> None:
    """The SQL in full with a warning; an update is refused as before."""
    done = stacks.chatdb("preview", "--stack", "live", "--unreleased")
    assert done.returncode == 0, done.stderr
    assert "ALTER TABLE public.chats ADD COLUMN rating bigint;" in done.stdout
    assert "`up` would be refused" in done.stderr
    up = stacks.chatdb("up", "--stack", "live", "--yes", CHATDB_PREVIEW_UNRELEASED="yes")
    assert is_clean_error(up)
    assert "has not released" in up.stderr


def test_files_that_differ_from_the_released_ones_are_refused(stacks: Project) -> None:
    """The same version from another text, after dev has released its own."""
    stacks.succeed("up", "--stack", "dev", "--yes")
    file = stacks.folder / f"schema/robotics/migrations/{RATING}.sql"
    text = file.read_text()
    file.write_text(text + "\n-- edited\n")
    done = stacks.chatdb("promote", "--to", "live", "--yes")
    file.write_text(text)
    assert is_clean_error(done)
    assert re.search(r"robotics 0005: dev has released 0005, but 0005 from other files \(\w+\) than", done.stderr)


def test_a_source_that_is_ahead_through_these_files_is_good(stacks: Project) -> None:
    """These files end at 0004, dev has gone on to 0005: what they bring was released on the way."""
    file = stacks.folder / f"schema/robotics/migrations/{RATING}.sql"
    text = file.read_text()
    file.unlink()
    try:
        done = stacks.chatdb("promote", "--to", "live", "--yes")
    finally:
        file.write_text(text)
    assert done.returncode == 0, done.stderr
    assert "nothing to promote" in done.stdout
    assert "robotics on dev is ahead of these files, its ledger is as released: 0005" in done.stderr


def test_a_source_that_has_drifted_is_refused(stacks: Project) -> None:
    """An index dropped by hand since the release is named."""
    ask(stacks, "dev", "DROP INDEX idx_chats_user_id")
    done = stacks.chatdb("promote", "--to", "live", "--yes")
    ask(stacks, "dev", "CREATE INDEX idx_chats_user_id ON chats (user_id)")
    assert is_clean_error(done)
    assert "stack dev is not as it was released" in done.stderr
    assert "idx_chats_user_id" in done.stderr
    assert "chatdb verify --stack dev" in done.stderr


@pytest.mark.parametrize("typed", ["", "no\n"], ids=["nothing", "no"])
def test_without_a_yes_nothing_is_promoted(stacks: Project, typed: str) -> None:
    """The difference is shown, the answer is not yes, nothing changes."""
    done = stacks.chatdb("promote", "--to", "live", typed=typed)
    assert is_clean_error(done)
    assert "  robotics  0004 → 0005\n" in done.stdout
    assert "ALTER TABLE public.chats ADD COLUMN rating bigint;" in done.stdout
    assert "promote dev to stack live was not confirmed" in done.stderr
    assert version(stacks) == 4


def test_only_one_product_is_refused_where_another_would_change_too(stacks: Project) -> None:
    """`--product lyra`, with robotics pending."""
    done = stacks.chatdb("promote", "--to", "live", "--product", "lyra", "--yes")
    assert is_clean_error(done)
    assert "stack live would change more than lyra" in done.stderr
    assert version(stacks) == 4


class Promotion:
    """A promotion to `live` under way, its output in a file."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self.output = project.folder / "promotion.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "promote", "--to", "live", *arguments],
            cwd=project.folder,
            env=project.variables(),
            stdin=subprocess.PIPE,
            stdout=self.output.open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, words: str) -> None:
        """Wait until it has said something."""
        limit = time.monotonic() + WAIT_LIMIT_S
        while words not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < limit, self.output.read_text()
            time.sleep(0.05)

    def interrupt(self) -> str:
        """Press Ctrl-C; return all that it said."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self, typed: str = "") -> str:
        """Type something, wait for its end, return all that it said."""
        self.process.communicate(typed)
        return self.output.read_text()


@contextmanager
def held(project: Project) -> Iterator[None]:
    """Hold the table chats of `live`, so that a promotion waits in the middle of its migration."""
    with psycopg.connect(address(project, "live")) as connection:
        connection.execute("SET ROLE robotics_owner; LOCK TABLE chats")
        yield


def test_ctrl_c_at_the_question_changes_nothing(stacks: Project) -> None:
    """Exit status 1, three parts."""
    promotion = Promotion(stacks)
    promotion.until("Type yes to go on: ")
    said = promotion.interrupt()
    assert promotion.process.returncode == 1
    assert "DETAIL: Ctrl-C was pressed" in said
    assert "STATE: Nothing was changed." in said
    assert "Traceback" not in said
    assert version(stacks) == 4


def test_what_is_no_longer_what_was_shown_is_not_promoted(stacks: Project) -> None:
    """The files changed between question and answer."""
    promotion = Promotion(stacks)
    promotion.until("Type yes to go on: ")
    file = stacks.folder / f"schema/robotics/migrations/{RATING}.sql"
    text = file.read_text()
    file.unlink()
    said = promotion.end("yes\n")
    file.write_text(text)
    assert promotion.process.returncode == 1
    assert "what would be promoted is no longer what was shown" in said
    assert version(stacks) == 4


def test_a_second_promotion_is_refused_and_an_interrupted_one_is_taken_up_again(stacks: Project) -> None:
    """The lock names the first; Ctrl-C in its middle leaves what the next one goes on with; no row is lost."""
    with held(stacks):
        first = Promotion(stacks, "--yes")
        first.until("robotics on dev is as released")
        lock, limit = stacks.folder / ".chatdb/live/lock", time.monotonic() + WAIT_LIMIT_S
        while "`up`" not in lock.read_text() or not ask(stacks, "live", MIGRATING):
            assert time.monotonic() < limit, first.output.read_text()
            time.sleep(0.1)
        second = stacks.chatdb("promote", "--to", "live", "--yes")
        assert is_clean_error(second)
        assert "stack live is locked by another run" in second.stderr
        assert f"`up` by process {first.process.pid} on " in second.stderr
        first.process.send_signal(signal.SIGINT)
    # The resource under way comes to its end, and no other begins.
    said = first.end()
    assert first.process.returncode == 1
    assert "the promotion to stack live was interrupted" in said
    assert "HINT: Run the same command again" in said
    assert "Traceback" not in said
    assert "promoted dev to live" in stacks.succeed("promote", "--to", "live", "--yes")
    assert version(stacks) == 5
    assert ask(stacks, "live", "SELECT query, response, rating FROM chats") == [("why", "so", None)]


def test_a_promotion_goes_on_over_a_connection_that_is_lost_half_way(stacks: Project, own_server: ServerFile) -> None:
    """The server ends the session in the middle of the migration: it is made once, and no row is lost."""
    stacks.succeed(
        *("rollback", "--stack", "live", "--product", "robotics", "--to", "4"), "--confirm", "DELETE CHATS TABLE"
    )
    with held(stacks):
        promotion = Promotion(stacks, "--yes")
        limit = time.monotonic() + WAIT_LIMIT_S
        while not ask(stacks, "live", MIGRATING):
            assert time.monotonic() < limit, promotion.output.read_text()
            time.sleep(0.1)
        with connect(own_server.target()) as server:
            ended = server.execute(ENDING).fetchall()
    said = promotion.end()
    assert len(ended) >= 1
    assert promotion.process.returncode == 0, said
    assert "Traceback" not in said
    assert version(stacks) == 5
    assert ask(stacks, "live", "SELECT query, response, rating FROM chats") == [("why", "so", None)]


# The sessions that run the migration, in all that they do but hold the table.
ENDING = """SELECT pg_terminate_backend(a.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND a.datname = 'robotics'"""
# A run that migrates holds its advisory lock, also while it waits for a table.
MIGRATING = "SELECT 1 FROM pg_locks JOIN pg_database AS d ON d.oid = database AND datname = current_database() \
WHERE locktype = 'advisory'"


def test_an_override_lets_it_through_and_leaves_its_reason(stacks: Project) -> None:
    """In the ledger, the history and the release; the gate warns each time, and is back when the reason is gone."""
    mood = write_migration(stacks, "0006_note_mood", "ALTER TABLE public.chats ADD COLUMN mood text;", {"mood": "text"})
    assert "0006" in stacks.chatdb("promote", "--to", "live", "--yes").stderr
    stacks.succeed("config", "set", "--stack", "live", "chatdb:promotionOverride", "incident 42")
    done = stacks.chatdb("promote", "--to", "live", "--yes")
    assert done.returncode == 0, done.stderr
    assert "stack live takes robotics without a release of dev, by the override: incident 42" in done.stderr
    assert release(stacks, "live")["robotics"]["override"] == "incident 42"
    assert release(stacks, "live")["lyra"]["override"] == ""
    rows = json.loads(stacks.succeed("history", "--stack", "live", "--product", "robotics", "--json"))
    assert [row["actor"] for row in rows[-2:]] == [
        "robotics_migrator",
        "robotics_migrator, promotion override: incident 42",
    ]
    assert "incident 42" in stacks.succeed("history", "--stack", "live", "--product", "robotics")
    stacks.succeed("config", "set", "--stack", "live", "chatdb:promotionOverride", "")
    done = stacks.chatdb("up", "--stack", "live", "--yes")
    assert is_clean_error(done)
    assert "robotics 0006" in done.stderr
    stacks.succeed("up", "--stack", "dev", "--yes")
    assert "nothing to promote" in stacks.succeed("promote", "--to", "live")
    assert mood.exists()
