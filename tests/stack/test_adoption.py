"""A database from before any stack, with its conversations and its service: taken over where `adopt` says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from embedded.server import ServerFile
from infra import products
from infra.connection import Target, connect
from infra.migrations import directory
from tests.support.project import Project, copied_project

STACK = "old"
UP = ("up", "--stack", STACK, "--yes")
TRANSFER = "ALTER TABLE public.chat_messages OWNER TO lyra_owner;"


@pytest.fixture
def lyra(own_server: ServerFile) -> Target:
    """A database as a service made it by hand: the first version's table, not by us, and a login that works on it."""
    first = directory.read(products.load("lyra").migrations_folder)[0]
    with connect(own_server.target()) as connection:
        connection.execute("CREATE ROLE legacy LOGIN PASSWORD 'legacy'")
        connection.execute("CREATE DATABASE lyra OWNER legacy")
    target = own_server.target("lyra")
    with connect(target.to(role="legacy")) as connection:
        connection.execute("CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid())")
        connection.execute(first.up.encode())
        connection.execute("INSERT INTO users SELECT FROM generate_series(1, 3)")
        connection.execute("INSERT INTO chat_messages (user_id, text, sender) SELECT id, 'hello', 'user' FROM users")
    return target


@pytest.fixture
def project(own_server: ServerFile) -> Iterator[Project]:
    with copied_project() as made:
        (made.folder / "server.json").write_text(json.dumps(asdict(own_server)), encoding="utf-8")
        yield made


def test_a_database_from_before_any_stack_is_adopted(lyra: Target, project: Project) -> None:
    """Refused without the setting and where it would be dropped; what an administrator must do is said in SQL."""
    settings = {"serverFile": "server.json", "products": ["lyra"], "onDestroy": "drop"}
    project.write_stack(STACK, settings)
    refused = project.chatdb(*UP)
    assert refused.returncode == 1
    assert "the database lyra exists already" in refused.stderr
    assert "DROP" not in refused.stderr

    project.write_stack(STACK, {**settings, "adopt": True})
    refused = project.chatdb(*UP)
    assert refused.returncode == 1
    assert f"the database lyra was there before the stack {STACK}, whose `destroy` would drop it" in refused.stderr

    project.write_stack(STACK, {**settings, "adopt": True, "onDestroy": "keep"})
    refused = project.chatdb(*UP)
    assert "the database lyra stands already, owned by legacy: adopting it" in refused.stderr
    grant = "GRANT REFERENCES (id) ON public.users TO lyra_owner;"
    assert grant in refused.stderr
    with connect(lyra) as connection:
        connection.execute(grant.encode())
    refused = project.chatdb(*UP)
    assert "what stands of lyra cannot be taken over yet: it belongs to legacy" in refused.stderr
    assert TRANSFER in refused.stderr
    with connect(lyra) as connection:
        connection.execute(f"{TRANSFER} GRANT SELECT, INSERT ON public.chat_messages TO legacy".encode())
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")

    done = project.chatdb(*UP)
    assert done.returncode == 0, done.stderr
    newest = (
        f"{products.load('lyra').name}  version {directory.read(products.load('lyra').migrations_folder)[-1].label}"
    )
    assert newest in done.stdout
    assert "lyra: recorded as applied up to 0001_create_chat_messages" in done.stderr
    assert "lyra: other tools were here: Alembic at " in done.stderr
    assert "legacy has SELECT, INSERT on public.chat_messages, which is not declared" in done.stderr
    assert "REFERENCES" not in done.stderr
    with connect(lyra) as connection:
        assert connection.execute("SELECT count(*) FROM chat_messages WHERE text = 'hello'").fetchall() == [(3,)]
        directions = connection.execute("SELECT direction FROM chatdb.ledger ORDER BY version").fetchall()
        assert directions[:2] == [("baseline",), ("up",)]
        assert connection.execute("SELECT has_table_privilege('legacy', 'chat_messages', 'INSERT')").fetchall() == [
            (True,)
        ]
    assert project.succeed(*UP).startswith("nothing to do: ")
