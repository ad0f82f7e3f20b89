"""`chatdb baseline`: an existing database is taken over only in a version's shape; the ledgers of others are named."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from infra.connection import Target, connect
from tests.cli.conftest import Shell
from tests.support.documents import migrations

Make = Callable[..., Target]

ALEMBIC = "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('779affdda697')"
EVIDENCE = "other tools were here: Alembic at 779affdda697 (public.alembic_version, 1 row)"


@pytest.fixture
def existing(product_database: Make) -> Target:
    """Insights as Alembic made it: the document's tables, no ledger of ours."""
    target = product_database("insights")
    with connect(target) as connection:
        connection.execute(migrations("insights")[0].up.encode())
        connection.execute(ALEMBIC)
    return target


def test_without_a_version_the_one_that_stands_is_recorded(existing: Target, shell: Shell) -> None:
    """Alembic's ledger is named, and `apply` goes on from there."""
    said = shell.done(existing, "baseline", "--product", "insights").splitlines()
    assert said[1] == EVIDENCE
    assert said[-1] == "insights is recorded at 0001; from here `chatdb apply` goes on"
    assert shell.done(existing, "apply", "--product", "insights").endswith("\ninsights is at 0005\n")
    first = json.loads(shell.done(existing, "history", "--product", "insights", "--json"))[0]
    assert (first["name"], first["direction"]) == ("0001_create_chats", "baseline")


def test_as_json_it_says_what_was_recorded_and_who_was_there(existing: Target, shell: Shell) -> None:
    """One object on standard output."""
    said = shell.done(existing, "baseline", "--product", "insights", "--to", "0001", "--json")
    assert json.loads(said) == {
        "product": "insights",
        "version": 1,
        "recorded": ["0001_create_chats"],
        "other_ledgers": [{"tool": "Alembic", "table": "public.alembic_version", "version": "779affdda697"}],
    }


def test_another_shape_is_refused_with_each_difference(existing: Target, shell: Shell) -> None:
    """With a version and without one; what to do with the differences is said, and nothing is recorded."""
    with connect(existing) as connection:
        connection.execute("ALTER TABLE chats DROP CONSTRAINT chats_agent_id_fkey, ALTER title TYPE text")
    for arguments in (("--to", "0001"), ()):
        done = shell.run(existing, "baseline", "--product", "insights", *arguments)
        assert done.returncode == 1
        assert "foreign key chats_agent_id_fkey on public.chats is missing" in done.stderr
        assert "column public.chats.title: type is text, expected character varying(255)" in done.stderr
        assert "Alembic" in done.stderr
        assert "HINT: Mend what is listed" in done.stderr
    assert json.loads(shell.run(existing, "status", "--product", "insights", "--json").stdout)["version"] == 0


def test_a_newer_version_than_stands_is_refused(existing: Target, shell: Shell) -> None:
    """The index that version has and this database lacks is named."""
    done = shell.run(existing, "baseline", "--product", "insights", "--to", "0002")
    assert done.returncode == 1
    assert "is missing" in done.stderr
    assert "HINT: Mend what is listed so that it is that version, or name the one it has with --to.\n" in done.stderr


def test_a_version_that_there_is_not_is_said_to_be_none(existing: Target, shell: Shell) -> None:
    """No snapshot is to be made for it."""
    done = shell.run(existing, "baseline", "--product", "insights", "--to", "9")
    assert done.returncode == 1
    assert done.stderr.startswith("cannot go to version 0009\nDETAIL: it has no file; there are: 0001 to 0005\n")


def test_a_database_that_is_managed_already_is_refused(product_database: Make, shell: Shell) -> None:
    """Its ledger stays as it is."""
    target = product_database("lyra")
    shell.done(target, "apply", "--product", "lyra")
    done = shell.run(target, "baseline", "--product", "lyra")
    assert done.returncode == 1
    assert "DETAIL: the ledger is at 0003: this database is managed already" in done.stderr


def test_an_empty_database_has_nothing_to_record(product_database: Make, shell: Shell) -> None:
    """The whole error, after who was here: it may be the other tool's database that is the wrong one."""
    target = product_database("lyra")
    with connect(target) as connection:
        connection.execute(ALEMBIC)
    done = shell.run(target, "baseline", "--product", "lyra")
    assert done.returncode == 1
    assert done.stdout.endswith(f"\n{EVIDENCE}\n")
    assert done.stderr == (
        "there is nothing of lyra to record\n"
        "DETAIL: none of its tables stands: public.chat_messages\n"
        "HINT: Make them: chatdb apply --product lyra\n"
        "STATE: Nothing was changed.\n"
    )


def test_apply_takes_over_by_adopt(existing: Target, shell: Shell) -> None:
    """Without it the table is in the way, and the error names the version, the other tool and what to do."""
    done = shell.run(existing, "apply", "--product", "insights")
    assert done.returncode == 1
    assert "the shape is that of version 0001" in done.stderr
    assert "Alembic" in done.stderr
    assert "chatdb baseline --product insights" in done.stderr
    done = shell.run(existing, "apply", "--product", "insights", "--adopt", "--json")
    assert f"recorded as applied up to 0001_create_chats\n{EVIDENCE}\n" in done.stderr
    said = json.loads(done.stdout)
    assert (said["version"], said["recorded"]) == (5, ["0001_create_chats"])
