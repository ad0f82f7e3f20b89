"""What Insights' document says of `chats` and `chat_messages`, on a real server and through the real psql."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from infra import products
from infra.connection import Target, connect
from infra.migrations import preflight
from tests.support.documents import columns, constraints, indexes, migrate, one, psql, refused, roll_back

TABLES = """\
SELECT table_name FROM information_schema.tables 
  WHERE table_schema = 'public' AND table_name IN ('chats', 'chat_messages');"""  # noqa: W291 - as the document has it
OWNERS = ("agents", "users", "accounts")


@pytest.fixture
def insights(product_database: Callable[..., Target]) -> Target:
    """Insights' database with its prerequisites, before the first migration."""
    return product_database("insights")


def chat(connection: psycopg.Connection[Any]) -> dict[str, UUID]:
    """Make an agent, a user, an account and a chat of theirs with one message; return their ids."""
    ids = {table: one(connection, f"INSERT INTO {table} DEFAULT VALUES RETURNING id") for table in OWNERS}
    ids["chats"] = uuid4()
    connection.execute(
        "INSERT INTO chats (id, agent_id, user_id, account_id) VALUES (%s, %s, %s, %s)",
        [ids["chats"], *(ids[table] for table in OWNERS)],
    )
    connection.execute(
        "INSERT INTO chat_messages (id, chat_id, role, content) VALUES (%s, %s, 'user', 'hello')",
        [uuid4(), ids["chats"]],
    )
    return ids


def test_the_first_migration_is_the_documents_schema(insights: Target) -> None:
    migrate(insights, "insights", to=1)
    time = ("timestamp with time zone", "NN", "now()")
    with connect(insights) as connection:
        assert columns(connection, "chats") == [
            ("id", "uuid", "NN", ""),
            ("title", "character varying(255)", "NN", "'New Chat'::character varying"),
            ("agent_id", "uuid", "NN", ""),
            ("user_id", "uuid", "NN", ""),
            ("account_id", "uuid", "NN", ""),
            ("created_at", *time),
            ("updated_at", *time),
        ]
        assert columns(connection, "chat_messages") == [
            ("id", "uuid", "NN", ""),
            ("chat_id", "uuid", "NN", ""),
            ("role", "character varying(20)", "NN", ""),
            ("content", "text", "NN", ""),
            ("action", "character varying(50)", "", ""),
            ("dax_attempts", "text", "", ""),
            ("final_dax", "text", "", ""),
            ("resolution_note", "text", "", ""),
            ("error", "text", "", ""),
            ("created_at", *time),
        ]
        assert constraints(connection, "chats") == {
            "chats_pkey": "PRIMARY KEY (id)",
            "chats_agent_id_fkey": "FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE",
            "chats_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
            "chats_account_id_fkey": "FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE",
        }
        assert constraints(connection, "chat_messages") == {
            "chat_messages_pkey": "PRIMARY KEY (id)",
            "chat_messages_chat_id_fkey": "FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE",
        }
        assert indexes(connection, "chats") == {
            "chats_pkey": "btree (id)",
            "ix_chats_agent_id": "btree (agent_id)",
            "ix_chats_user_id": "btree (user_id)",
            "ix_chats_account_id": "btree (account_id)",
        }
        assert indexes(connection, "chat_messages") == {
            "chat_messages_pkey": "btree (id)",
            "ix_chat_messages_chat_id": "btree (chat_id)",
        }


@pytest.mark.parametrize("version", [1, 5])
def test_the_documents_checks_find_both_tables(insights: Target, version: int) -> None:
    migrate(insights, "insights", to=version)
    found = psql(insights, TABLES)
    assert (found.status, sorted(found.lines)) == (0, ["chat_messages", "chats"])
    chats, messages = psql(insights, "\\d chats"), psql(insights, "\\d chat_messages")
    assert (chats.status, messages.status) == (0, 0)
    assert "title|character varying(255)||not null|'New Chat'::character varying" in chats.lines
    assert "role|character varying(20)||not null|" in messages.lines


@pytest.mark.parametrize("parent", [*OWNERS, "chats"])
def test_deleting_any_of_four_takes_the_chat_and_its_messages(insights: Target, parent: str) -> None:
    migrate(insights, "insights")
    with connect(insights) as connection:
        ids = chat(connection)
        kept = chat(connection)
        connection.execute(f"DELETE FROM {parent} WHERE id = %s".encode(), [ids[parent]])
        assert connection.execute("SELECT id FROM chats").fetchall() == [(kept["chats"],)]
        assert connection.execute("SELECT chat_id FROM chat_messages").fetchall() == [(kept["chats"],)]


def test_a_chat_has_a_title_and_times_of_its_own(insights: Target) -> None:
    migrate(insights, "insights")
    with connect(insights) as connection:
        chat(connection)
        query = "SELECT title, created_at = updated_at FROM chats"
        assert connection.execute(query).fetchall() == [("New Chat", True)]
        # The application sets updated_at: no trigger does.
        connection.execute("UPDATE chats SET title = 'Sales'")
        assert connection.execute(query).fetchall() == [("Sales", True)]


@pytest.mark.parametrize(
    ("given", "sqlstate"),
    [
        pytest.param({"role": "assistant", "action": "QUERY"}, "", id="as the application writes it"),
        pytest.param({"role": "tool", "action": "anything"}, "", id="roles and actions are not checked here"),
        pytest.param({"id": None}, "23502", id="ids are the application's"),
        pytest.param({"content": None}, "23502", id="no content"),
        pytest.param({"chat_id": uuid4()}, "23503", id="unknown chat"),
        pytest.param({"role": "r" * 21}, "22001", id="role longer than 20"),
        pytest.param({"action": "a" * 51}, "22001", id="action longer than 50"),
    ],
)
def test_what_a_message_must_have(insights: Target, given: dict[str, object], sqlstate: str) -> None:
    migrate(insights, "insights")
    with connect(insights) as connection:
        row = {"id": uuid4(), "chat_id": chat(connection)["chats"], "role": "user", "content": "", "action": None}
        statement = "INSERT INTO chat_messages (id, chat_id, role, content, action)"
        statement += " VALUES (%(id)s, %(chat_id)s, %(role)s, %(content)s, %(action)s)"
        assert refused(connection, statement, {**row, **given}) == sqlstate


@pytest.mark.parametrize(
    ("tables", "sqlstate", "message"),
    [
        pytest.param(
            (),
            "42P01",
            "the table public.agents does not exist; the table public.users does not exist; "
            "the table public.accounts does not exist",
            id="none",
        ),
        pytest.param(
            ("agents",),
            "42P01",
            "the table public.users does not exist; the table public.accounts does not exist",
            id="agents alone",
        ),
        pytest.param(("agents", "users"), "42P01", "the table public.accounts does not exist", id="no accounts"),
        pytest.param(
            ("agents", "users", "accounts:text"),
            "42804",
            "public.accounts.id is text, and insights needs uuid",
            id="accounts of another type",
        ),
    ],
)
def test_every_prerequisite_that_fails_is_told_at_once(
    product_database: Callable[..., Target], tables: tuple[str, ...], sqlstate: str, message: str
) -> None:
    target = product_database("insights", stand_ins=False)
    with connect(target) as connection:
        for table in tables:
            name, _, kind = table.partition(":")
            connection.execute(f"CREATE TABLE public.{name} (id {kind or 'uuid'} PRIMARY KEY)".encode())
    with pytest.raises(preflight.PrerequisiteError) as caught:
        migrate(target, "insights")
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)


def test_a_table_that_stands_already_is_refused_and_taken_over_only_when_asked(insights: Target) -> None:
    product = products.load("insights")
    with connect(insights) as connection:
        connection.execute((product.folder / "schema.sql").read_bytes())
    with pytest.raises(preflight.TableInTheWayError, match="stand already"):
        migrate(insights, "insights")
    taken = migrate(insights, "insights", adopt=True)
    assert (taken.version, len(taken.baselined)) == (5, 5)


def test_stepping_back_drops_index_messages_indexes_and_chats_and_migrating_works_again(insights: Target) -> None:
    migrate(insights, "insights")
    assert roll_back(insights, "insights", to=4).names == ("0005_describe_personal_data",)
    assert roll_back(insights, "insights").version == 0
    assert psql(insights, TABLES).lines == []
    assert psql(insights, "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'ix_chat%'").lines == ["0"]
    assert migrate(insights, "insights").version == 5
