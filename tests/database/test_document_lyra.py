"""What Lyra's document says of `chat_messages`, on a real server and through the real psql."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra import products
from infra.connection import Target, connect
from infra.migrations import preflight, snapshot
from tests.support.documents import (
    columns,
    constraints,
    indexes,
    migrate,
    one,
    psql,
    refused,
    roll_back,
    uncommented,
    up_file,
)

ROLLBACK = "-- Drop the table and indexes\nDROP TABLE IF EXISTS chat_messages CASCADE;"


@pytest.fixture
def lyra(product_database: Callable[..., Target]) -> Target:
    """Lyra's database with its prerequisite, before the first migration."""
    return product_database("lyra")


def test_the_first_migration_is_the_documents_schema(lyra: Target) -> None:
    migrate(lyra, "lyra", to=1)
    with connect(lyra) as connection:
        assert columns(connection, "public.chat_messages") == [
            ("id", "uuid", "NN", "gen_random_uuid()"),
            ("user_id", "uuid", "NN", ""),
            ("text", "text", "NN", ""),
            ("sender", "character varying(10)", "NN", ""),
            ("is_voice", "boolean", "", "false"),
            ("created_at", "timestamp without time zone", "", "now()"),
        ]
        found = constraints(connection, "public.chat_messages")
        assert sorted(found) == ["chat_messages_pkey", "chat_messages_sender_check", "chat_messages_user_id_fkey"]
        assert found["chat_messages_user_id_fkey"] == "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE"
        assert indexes(connection, "public.chat_messages") == {
            "chat_messages_pkey": "btree (id)",
            "idx_chat_messages_user_id": "btree (user_id)",
            "idx_chat_messages_created_at": "btree (created_at)",
            "idx_chat_messages_sender": "btree (sender)",
        }
        assert uncommented(connection, "public.chat_messages") == []


def test_the_documents_checks_give_one_table_and_four_indexes(lyra: Target) -> None:
    migrate(lyra, "lyra", to=1)
    table = psql(lyra, "SELECT table_name FROM information_schema.tables WHERE table_name = 'chat_messages';")
    assert (table.status, table.lines) == (0, ["chat_messages"])
    shape = psql(lyra, "\\d chat_messages")
    assert shape.status == 0
    assert any(line.startswith("sender|character varying(10)||not null|") for line in shape.lines)
    index = psql(lyra, "SELECT indexname FROM pg_indexes WHERE tablename = 'chat_messages';")
    assert index.status == 0
    assert sorted(index.lines) == [
        "chat_messages_pkey",
        "idx_chat_messages_created_at",
        "idx_chat_messages_sender",
        "idx_chat_messages_user_id",
    ]


def test_a_later_migration_adds_the_index_for_history_and_takes_none_away(lyra: Target) -> None:
    migrate(lyra, "lyra")
    index = psql(lyra, "SELECT indexname FROM pg_indexes WHERE tablename = 'chat_messages';")
    assert sorted(index.lines) == [
        "chat_messages_pkey",
        "idx_chat_messages_created_at",
        "idx_chat_messages_history",
        "idx_chat_messages_sender",
        "idx_chat_messages_user_id",
    ]


@pytest.mark.parametrize(
    ("values", "sqlstate"),
    [
        pytest.param({"text": "hello", "sender": "user"}, "", id="three values are enough"),
        pytest.param({"text": "hello", "sender": "lyra", "is_voice": True}, "", id="spoken by lyra"),
        pytest.param({"text": "hello", "sender": "bot"}, "23514", id="sender is neither user nor lyra"),
        pytest.param({"sender": "user"}, "23502", id="text is missing"),
        pytest.param({"text": "hello"}, "23502", id="sender is missing"),
        pytest.param(
            {"user_id": "00000000-0000-0000-0000-000000000000", "text": "hello", "sender": "user"},
            "23503",
            id="user is unknown",
        ),
    ],
)
def test_what_a_message_must_have(lyra: Target, values: dict[str, object], sqlstate: str) -> None:
    migrate(lyra, "lyra")
    with connect(lyra) as connection:
        given = {"user_id": one(connection, "INSERT INTO users DEFAULT VALUES RETURNING id"), **values}
        names = ", ".join(given)
        places = ", ".join(f"%({name})s" for name in given)
        assert refused(connection, f"INSERT INTO chat_messages ({names}) VALUES ({places})", given) == sqlstate


def test_history_of_a_user_is_seen_in_time_order_by_another_connection(lyra: Target) -> None:
    migrate(lyra, "lyra")
    insert = "INSERT INTO chat_messages (user_id, text, sender, created_at) VALUES (%s, %s, %s, %s)"
    with connect(lyra) as phone, connect(lyra) as desktop:
        user = one(phone, "INSERT INTO users DEFAULT VALUES RETURNING id")
        other = one(phone, "INSERT INTO users DEFAULT VALUES RETURNING id")
        for text, sender, minute in (("third", "user", 3), ("first", "user", 1), ("second", "lyra", 2)):
            phone.execute(insert, [user, text, sender, f"2026-01-01 00:0{minute}"])
        phone.execute(insert, [other, "not theirs", "user", "2026-01-01 00:00"])
        history = desktop.execute("SELECT text FROM chat_messages WHERE user_id = %s ORDER BY created_at, id", [user])
        assert history.fetchall() == [("first",), ("second",), ("third",)]


def test_messages_are_deleted_with_their_user(lyra: Target) -> None:
    migrate(lyra, "lyra")
    with connect(lyra) as connection:
        user = one(connection, "INSERT INTO users DEFAULT VALUES RETURNING id")
        connection.execute("INSERT INTO chat_messages (user_id, text, sender) VALUES (%s, 'hello', 'user')", [user])
        connection.execute("DELETE FROM users WHERE id = %s", [user])
        assert one(connection, "SELECT count(*) FROM chat_messages") == 0


def test_three_ways_to_run_each_twice_come_to_the_same(product_database: Callable[..., Target], tmp_path: Path) -> None:
    """This migration alone, its SQL through psql -f, and all migrations: the second run of each changes nothing."""
    product = products.load("lyra")
    alone, by_file, everything = (product_database("lyra") for _ in range(3))
    assert migrate(alone, "lyra", to=1).names == ("0001_create_chat_messages",)
    assert migrate(alone, "lyra", to=1).names == ()
    file = up_file("lyra", tmp_path)
    for _ in range(2):
        said = psql(by_file, str(file), file=True)
        assert (said.status, "ERROR" in said.errors) == (0, False)
    assert len(migrate(everything, "lyra").names) == 3
    assert migrate(everything, "lyra").names == ()
    with connect(alone) as first, connect(by_file) as second, connect(everything) as third:
        assert snapshot.read_live(first, product) == snapshot.load(product, 1)
        assert snapshot.read_live(second, product) == snapshot.load(product, 1)
        assert snapshot.read_live(third, product) == snapshot.load(product, 3)


def test_the_documents_rollback_runs_twice_and_migrating_works_again(lyra: Target) -> None:
    migrate(lyra, "lyra")
    for _ in range(2):
        said = psql(lyra, ROLLBACK)
        assert (said.status, "ERROR" in said.errors) == (0, False)
    left = "SELECT (SELECT count(*) FROM pg_tables WHERE tablename = 'chat_messages') +"
    left += " (SELECT count(*) FROM pg_indexes WHERE tablename = 'chat_messages');"
    assert psql(lyra, left).lines == ["0"]
    # The ledger still says version 3, so the tool's own way back goes first: it finds nothing to drop.
    assert roll_back(lyra, "lyra").version == 0
    assert migrate(lyra, "lyra").version == 3


def test_a_role_that_may_not_create_tables_is_told_which_grant_it_lacks(lyra: Target) -> None:
    with connect(lyra.to(role="")) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM public, pg_database_owner")
    with pytest.raises(preflight.PrerequisitePrivilegeError) as caught:
        migrate(lyra, "lyra")
    assert caught.value.sqlstate == "42501"
    assert caught.value.message == f"{lyra.role} may not create in the schema public"
    assert caught.value.hint == f"Grant it: GRANT CREATE ON SCHEMA public TO {lyra.role};"
