"""What the storefront's document says of its three tables, on a real server and through the real psql."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra import products
from infra.connection import Target, connect
from infra.migrations import preflight, snapshot
from tests.support.documents import columns, constraints, indexes, migrate, one, psql, refused, roll_back, up_file

VERIFY = """\
SELECT table_name FROM information_schema.tables 
WHERE table_schema = 'public' 
AND table_name LIKE 'chat%';"""  # noqa: W291 - as the document writes it
ROLLBACK = """\
DROP TABLE IF EXISTS chat_analytics CASCADE;
DROP TABLE IF EXISTS chat_messages CASCADE;
DROP TABLE IF EXISTS chat_sessions CASCADE;"""
TABLES = ["chat_analytics", "chat_messages", "chat_sessions"]


@pytest.fixture
def storefront(product_database: Callable[..., Target]) -> Target:
    """The storefront's database with its prerequisite, before the first migration."""
    return product_database("storefront")


def talk(connection: psycopg.Connection[Any], session: str, user: str | None = None) -> None:
    """Make a session with a message and analytics."""
    connection.execute(
        "INSERT INTO chat_sessions (id, user_id, session_token) VALUES (%s, %s, %s)", [session, user, f"t-{session}"]
    )
    connection.execute(
        "INSERT INTO chat_messages (id, session_id, role, content) VALUES (%s, %s, 'user', 'hello')",
        [f"m-{session}", session],
    )
    connection.execute("INSERT INTO chat_analytics (id, session_id) VALUES (%s, %s)", [f"a-{session}", session])


def test_the_first_migration_is_the_documents_schema(storefront: Target) -> None:
    migrate(storefront, "storefront", to=1)
    time = "timestamp without time zone"
    with connect(storefront) as connection:
        assert columns(connection, "chat_sessions") == [
            ("id", "text", "NN", ""),
            ("user_id", "text", "", ""),
            ("session_token", "text", "NN", ""),
            ("started_at", time, "NN", "now()"),
            ("ended_at", time, "", ""),
            ("last_message_at", time, "NN", "now()"),
            ("message_count", "integer", "NN", "0"),
            ("user_agent", "text", "", ""),
            ("ip_address", "text", "", ""),
        ]
        assert columns(connection, "chat_messages") == [
            ("id", "text", "NN", ""),
            ("session_id", "text", "NN", ""),
            ("role", "text", "NN", ""),
            ("content", "text", "NN", ""),
            ("function_name", "text", "", ""),
            ("function_args", "text", "", ""),
            ("function_result", "text", "", ""),
            ("timestamp", time, "NN", "now()"),
        ]
        assert columns(connection, "chat_analytics") == [
            ("id", "text", "NN", ""),
            ("session_id", "text", "NN", ""),
            ("products_viewed", "text", "", ""),
            ("products_added_to_cart", "text", "", ""),
            ("query_type", "text", "", ""),
            ("user_satisfaction", "integer", "", ""),
            ("conversion_occurred", "integer", "", "0"),
            ("total_cost_usd", "numeric(10,4)", "", ""),
            ("created_at", time, "NN", "now()"),
        ]
        assert constraints(connection, "chat_sessions") == {
            "chat_sessions_pkey": "PRIMARY KEY (id)",
            "chat_sessions_session_token_unique": "UNIQUE (session_token)",
            "chat_sessions_user_id_users_id_fk": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL",
        }
        assert constraints(connection, "chat_messages") == {
            "chat_messages_pkey": "PRIMARY KEY (id)",
            "chat_messages_session_id_chat_sessions_id_fk": (
                "FOREIGN KEY (session_id) REFERENCES chat_sessions(id) ON DELETE CASCADE"
            ),
        }
        assert constraints(connection, "chat_analytics") == {
            "chat_analytics_pkey": "PRIMARY KEY (id)",
            "chat_analytics_session_id_chat_sessions_id_fk": (
                "FOREIGN KEY (session_id) REFERENCES chat_sessions(id) ON DELETE CASCADE"
            ),
        }
        assert [list(indexes(connection, table)) for table in ("chat_messages", "chat_analytics")] == [
            ["chat_messages_pkey"],
            ["chat_analytics_pkey"],
        ]


@pytest.mark.parametrize("version", [1, 5])
def test_the_documents_checks_give_exactly_three_tables(storefront: Target, version: int) -> None:
    migrate(storefront, "storefront", to=version)
    found = psql(storefront, VERIFY)
    assert (found.status, sorted(found.lines)) == (0, TABLES)
    listed = psql(storefront, "-- Check tables\n\\dt chat*")
    assert (listed.status, [line.split("|")[:3] for line in listed.lines]) == (
        0,
        [["public", table, "table"] for table in TABLES],
    )


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("chat_sessions", "session_token|text||not null|"),
        ("chat_messages", "timestamp|timestamp without time zone||not null|now()"),
        ("chat_analytics", "total_cost_usd|numeric(10,4)|||"),
    ],
)
def test_psql_describes_each_table(storefront: Target, table: str, line: str) -> None:
    migrate(storefront, "storefront")
    said = psql(storefront, f"\\d {table}")
    assert (said.status, line in said.lines) == (0, True)


def test_deleting_a_session_deletes_its_messages_and_analytics(storefront: Target) -> None:
    migrate(storefront, "storefront")
    with connect(storefront) as connection:
        talk(connection, "gone")
        talk(connection, "kept")
        connection.execute("DELETE FROM chat_sessions WHERE id = 'gone'")
        assert one(connection, "SELECT string_agg(id, ' ') FROM chat_messages") == "m-kept"
        assert one(connection, "SELECT string_agg(id, ' ') FROM chat_analytics") == "a-kept"


def test_deleting_a_user_keeps_the_sessions_without_a_name(storefront: Target) -> None:
    migrate(storefront, "storefront")
    with connect(storefront) as connection:
        connection.execute("INSERT INTO users VALUES ('ada')")
        talk(connection, "s", "ada")
        connection.execute("DELETE FROM users WHERE id = 'ada'")
        assert one(connection, "SELECT user_id IS NULL FROM chat_sessions WHERE id = 's'") is True
        assert one(connection, "SELECT count(*) FROM chat_messages") == 1


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        pytest.param("INSERT INTO chat_sessions (id, session_token) VALUES ('b', 'b')", "", id="anonymous session"),
        pytest.param("INSERT INTO chat_sessions (id, session_token) VALUES ('b', 't-a')", "23505", id="token twice"),
        pytest.param("INSERT INTO chat_sessions (id) VALUES ('b')", "23502", id="no token"),
        pytest.param("INSERT INTO chat_sessions (session_token) VALUES ('b')", "23502", id="ids are the application's"),
        pytest.param(
            "INSERT INTO chat_sessions (id, session_token, user_id) VALUES ('b', 'b', 'nobody')",
            "23503",
            id="unknown user",
        ),
        pytest.param(
            "INSERT INTO chat_messages (id, session_id, role, content) VALUES ('m', 'nowhere', 'user', '')",
            "23503",
            id="message without a session",
        ),
        pytest.param(
            "INSERT INTO chat_analytics (id, session_id, total_cost_usd) VALUES ('x', 'a', 1000000)",
            "22003",
            id="cost beyond numeric(10,4)",
        ),
    ],
)
def test_what_the_tables_take(storefront: Target, statement: str, sqlstate: str) -> None:
    migrate(storefront, "storefront")
    with connect(storefront) as connection:
        talk(connection, "a")
        assert refused(connection, statement) == sqlstate


def test_users_with_uuid_keys_are_another_products_and_are_refused_before_anything_runs(
    product_database: Callable[..., Target],
) -> None:
    target = product_database("storefront", stand_ins=False)
    with connect(target) as connection:
        connection.execute("CREATE TABLE public.users (id uuid PRIMARY KEY)")
    with pytest.raises(preflight.PrerequisiteTypeError) as caught:
        migrate(target, "storefront")
    assert caught.value.sqlstate == "42804"
    assert caught.value.message == "public.users.id is uuid, and storefront needs text"
    with connect(target) as connection:
        assert one(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1


def test_its_sql_pasted_by_hand_makes_the_same_tables(storefront: Target, tmp_path: Path) -> None:
    assert psql(storefront, str(up_file("storefront", tmp_path)), file=True).status == 0
    product = products.load("storefront")
    with connect(storefront) as connection:
        assert snapshot.read_live(connection, product) == snapshot.load(product, 1)


def test_deleting_a_session_or_a_user_reads_no_whole_table(storefront: Target) -> None:
    """The lookups of the foreign keys use the second migration's indexes."""
    migrate(storefront, "storefront")
    looks = {
        "SELECT FROM ONLY chat_messages WHERE session_id = 's'": "chat_messages_session_id_timestamp_id_idx",
        "SELECT FROM ONLY chat_analytics WHERE session_id = 's'": "chat_analytics_session_id_idx",
        "SELECT FROM ONLY chat_sessions WHERE user_id = 'u'": "chat_sessions_user_id_started_at_id_idx",
    }
    with connect(storefront) as connection:
        connection.execute("SET enable_seqscan = off")
        for look, index in looks.items():
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {look}".encode()).fetchall())
            assert index in plan


def test_the_documents_rollback_runs_twice_and_migrating_works_again(storefront: Target) -> None:
    migrate(storefront, "storefront")
    for _ in range(2):
        said = psql(storefront, ROLLBACK)
        assert (said.status, "ERROR" in said.errors) == (0, False)
    assert psql(storefront, VERIFY).lines == []
    assert psql(storefront, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").lines == ["users"]
    # The ledger still says version 5, so the tool's own way back goes first: it finds nothing to drop.
    assert roll_back(storefront, "storefront").version == 0
    assert migrate(storefront, "storefront").version == 5
