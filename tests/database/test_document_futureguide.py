"""What FutureGuide's document says of the schema `chat`, on a real server, through psql and as fg_user itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest

from infra import products
from infra.connection import Target, connect
from infra.migrations import preflight, snapshot
from tests.support.documents import columns, constraints, migrate, one, psql, refused, roll_back, uncommented, up_file
from tests.support.postgres import APP_PASSWORD

SCHEMA = "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'chat';"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'chat';"
SECURITY = """\
SELECT schemaname, tablename, rowsecurity 
FROM pg_tables 
WHERE schemaname = 'chat';"""  # noqa: W291 - as the document writes it
INDEXES = """\
SELECT indexname, tablename 
FROM pg_indexes 
WHERE schemaname = 'chat';"""  # noqa: W291
ROLLBACK = "-- WARNING: This will delete all chat data\nDROP SCHEMA chat CASCADE;"
NAMES = ("conversations", "messages", "usage_tracking")


class Person(NamedTuple):
    """A user with one conversation, one message and one usage record."""

    user: UUID
    conversation: UUID
    message: UUID
    usage: UUID


@pytest.fixture
def fg(product_database: Callable[..., Target]) -> Target:
    """FutureGuide's database with its prerequisites, before the first migration."""
    return product_database("futureguide")


@pytest.fixture
def migrated(fg: Target) -> Target:
    """The same after all migrations, with the service's grants as the stack makes them."""
    migrate(fg, "futureguide")
    with connect(fg) as owner:
        owner.execute("GRANT USAGE ON SCHEMA chat TO fg_user")
        owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO fg_user")
    return fg


@contextlib.contextmanager
def service(target: Target, user: UUID | str | None) -> Iterator[psycopg.Connection[Any]]:
    """Log in as fg_user and speak for a user; None leaves the setting unset."""
    with connect(target.to(user="fg_user", password=APP_PASSWORD, role="")) as connection:
        if user is not None:
            connection.execute("SELECT set_config('app.current_user_id', %s, false)", [str(user)])
        yield connection


def person(target: Target) -> Person:
    """Make a user by the authentication service, and what is theirs by the chat service."""
    with connect(target) as owner:
        user = one(owner, "INSERT INTO auth.users DEFAULT VALUES RETURNING id")
    with service(target, user) as connection:
        conversation = one(connection, "INSERT INTO chat.conversations (user_id) VALUES (%s) RETURNING id", [user])
        message = one(
            connection,
            "INSERT INTO chat.messages (conversation_id, user_id, sender_type, content)"
            " VALUES (%s, %s, 'user', 'hello') RETURNING id",
            [conversation, user],
        )
        usage = one(
            connection,
            "INSERT INTO chat.usage_tracking (conversation_id, message_id, user_id, model_used)"
            " VALUES (%s, %s, %s, 'a-model') RETURNING id",
            [conversation, message, user],
        )
    return Person(user, conversation, message, usage)


def test_the_first_migration_makes_the_tables_of_the_product(fg: Target) -> None:
    migrate(fg, "futureguide", to=1)
    key, time = ("uuid", "NN", "gen_random_uuid()"), ("timestamp with time zone", "NN", "now()")
    with connect(fg) as connection:
        assert columns(connection, "chat.conversations") == [
            ("id", *key),
            ("user_id", "uuid", "NN", ""),
            ("title", "character varying(255)", "NN", "'New Conversation'::character varying"),
            ("context_type", "character varying(50)", "NN", "'general'::character varying"),
            ("context_data", "jsonb", "", ""),
            ("status", "character varying(20)", "NN", "'active'::character varying"),
            ("metadata", "jsonb", "", ""),
            ("created_at", *time),
            ("updated_at", *time),
        ]
        assert columns(connection, "chat.messages") == [
            ("id", *key),
            ("conversation_id", "uuid", "NN", ""),
            ("user_id", "uuid", "NN", ""),
            ("sender_type", "character varying(20)", "NN", ""),
            ("content", "text", "NN", ""),
            ("content_type", "character varying(20)", "NN", "'text'::character varying"),
            ("metadata", "jsonb", "", ""),
            ("parent_message_id", "uuid", "", ""),
            ("created_at", *time),
        ]
        assert columns(connection, "chat.usage_tracking") == [
            ("id", *key),
            ("conversation_id", "uuid", "", ""),
            ("message_id", "uuid", "", ""),
            ("user_id", "uuid", "NN", ""),
            ("model_used", "character varying(100)", "NN", ""),
            ("prompt_tokens", "integer", "NN", "0"),
            ("completion_tokens", "integer", "NN", "0"),
            ("total_tokens", "integer", "NN", "0"),
            ("cost_credits", "numeric(10,6)", "NN", "0"),
            ("is_free_model", "boolean", "NN", "false"),
            ("processing_time_ms", "integer", "", ""),
            ("created_at", *time),
        ]
        keys = {
            name: text
            for table in NAMES
            for name, text in constraints(connection, f"chat.{table}").items()
            if text.startswith("FOREIGN KEY")
        }
        pair = "FOREIGN KEY (conversation_id, user_id) REFERENCES chat.conversations(id, user_id) ON DELETE CASCADE"
        assert keys == {
            "conversations_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE",
            "messages_conversation_id_user_id_fkey": pair,
            "messages_parent_message_id_fkey": (
                "FOREIGN KEY (parent_message_id) REFERENCES chat.messages(id) ON DELETE SET NULL"
            ),
            "usage_tracking_conversation_id_user_id_fkey": pair,
            "usage_tracking_message_id_fkey": (
                "FOREIGN KEY (message_id) REFERENCES chat.messages(id) ON DELETE CASCADE"
            ),
        }
        assert [uncommented(connection, f"chat.{table}") for table in NAMES] == [[], [], []]
        assert one(connection, "SELECT obj_description('chat'::regnamespace, 'pg_namespace') IS NOT NULL") is True


def test_the_documents_checks_give_one_schema_three_tables_all_guarded(fg: Target) -> None:
    migrate(fg, "futureguide")
    schema, tables, security, index = (psql(fg, query) for query in (SCHEMA, TABLES, SECURITY, INDEXES))
    assert [said.status for said in (schema, tables, security, index)] == [0, 0, 0, 0]
    assert schema.lines == ["chat"]
    assert sorted(tables.lines) == list(NAMES)
    assert sorted(security.lines) == [f"chat|{table}|t" for table in NAMES]
    assert sorted(index.lines) == [
        "conversations_id_user_id_key|conversations",
        "conversations_pkey|conversations",
        "conversations_user_id_updated_at_id_idx|conversations",
        "messages_conversation_id_user_id_created_at_id_idx|messages",
        "messages_parent_message_id_idx|messages",
        "messages_pkey|messages",
        "usage_tracking_conversation_id_user_id_idx|usage_tracking",
        "usage_tracking_message_id_idx|usage_tracking",
        "usage_tracking_model_used_created_at_idx|usage_tracking",
        "usage_tracking_pkey|usage_tracking",
        "usage_tracking_user_id_created_at_idx|usage_tracking",
    ]


@pytest.mark.parametrize("table", NAMES)
def test_a_user_sees_and_changes_only_their_own_rows(migrated: Target, table: str) -> None:
    ada, bob = person(migrated), person(migrated)
    own = {"conversations": ada.conversation, "messages": ada.message, "usage_tracking": ada.usage}[table]
    with service(migrated, ada.user) as connection:
        assert connection.execute(f"SELECT id FROM chat.{table}".encode()).fetchall() == [(own,)]
        theirs = f"WHERE user_id = '{bob.user}'"
        assert connection.execute(f"UPDATE chat.{table} SET created_at = now() {theirs}".encode()).rowcount == 0
        assert connection.execute(f"DELETE FROM chat.{table} {theirs}".encode()).rowcount == 0
        assert connection.execute(f"UPDATE chat.{table} SET created_at = now()".encode()).rowcount == 1
        assert connection.execute(f"DELETE FROM chat.{table}".encode()).rowcount == 1
    with service(migrated, bob.user) as connection:
        assert one(connection, f"SELECT count(*) FROM chat.{table}") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO chat.conversations (user_id) VALUES (%(user)s)",
        "INSERT INTO chat.messages (conversation_id, user_id, sender_type, content)"
        " VALUES (%(conversation)s, %(user)s, 'user', 'hello')",
        "INSERT INTO chat.usage_tracking (conversation_id, message_id, user_id, model_used)"
        " VALUES (%(conversation)s, %(message)s, %(user)s, 'a-model')",
    ],
    ids=NAMES,
)
def test_a_user_may_write_for_themselves_and_not_for_another(migrated: Target, statement: str) -> None:
    ada, bob = person(migrated), person(migrated)
    with service(migrated, ada.user) as connection:
        assert refused(connection, statement, ada._asdict()) == ""
        assert refused(connection, statement, bob._asdict()) == "42501"


@pytest.mark.parametrize("table", NAMES)
def test_rows_cannot_be_given_to_another_user(migrated: Target, table: str) -> None:
    ada, bob = person(migrated), person(migrated)
    with service(migrated, ada.user) as connection:
        assert refused(connection, f"UPDATE chat.{table} SET user_id = %s", [bob.user]) == "42501"


@pytest.mark.parametrize("user", [None, ""], ids=["unset", "empty"])
def test_nobody_sees_nothing_without_an_error(migrated: Target, user: str | None) -> None:
    person(migrated)
    with service(migrated, user) as connection:
        for table in NAMES:
            assert one(connection, f"SELECT count(*) FROM chat.{table}") == 0


def test_a_user_named_for_one_transaction_is_forgotten_after_it(migrated: Target) -> None:
    """After SET LOCAL ends the setting is empty, not unset: no rows, and no error either."""
    ada = person(migrated)
    with service(migrated, None) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('app.current_user_id', %s, true)", [str(ada.user)])
            assert one(connection, "SELECT count(*) FROM chat.messages") == 1
        assert one(connection, "SELECT current_setting('app.current_user_id')") == ""
        assert one(connection, "SELECT count(*) FROM chat.messages") == 0


def test_even_the_owner_sees_no_rows(migrated: Target) -> None:
    person(migrated)
    with connect(migrated) as owner:
        assert [one(owner, f"SELECT count(*) FROM chat.{table}") for table in NAMES] == [0, 0, 0]


def test_a_message_cannot_name_another_user_than_its_conversation(migrated: Target) -> None:
    """The composite key holds even for a superuser, whom no policy binds."""
    ada, bob = person(migrated), person(migrated)
    with connect(migrated.to(role="")) as superuser:
        for statement in (
            "INSERT INTO chat.messages (conversation_id, user_id, sender_type, content) VALUES (%s, %s, 'user', '')",
            "INSERT INTO chat.usage_tracking (conversation_id, user_id, model_used) VALUES (%s, %s, 'a-model')",
        ):
            assert refused(superuser, statement, [ada.conversation, ada.user]) == ""
            assert refused(superuser, statement, [ada.conversation, bob.user]) == "23503"


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("conversations", "context_type = 'gossip'"),
        ("conversations", "status = 'lost'"),
        ("messages", "sender_type = 'robot'"),
        ("messages", "content_type = 'video'"),
        ("usage_tracking", "prompt_tokens = -1"),
        ("usage_tracking", "completion_tokens = -1"),
        ("usage_tracking", "total_tokens = -1"),
        ("usage_tracking", "cost_credits = -0.000001"),
    ],
)
def test_values_outside_their_list_are_refused(migrated: Target, table: str, change: str) -> None:
    ada = person(migrated)
    with service(migrated, ada.user) as connection:
        assert refused(connection, f"UPDATE chat.{table} SET {change}") == "23514"


def test_what_is_deleted_with_what(migrated: Target) -> None:
    """A message's answers outlive it, its usage does not; a user's deletion takes everything, policies or not."""
    ada, bob = person(migrated), person(migrated)
    with service(migrated, ada.user) as connection:
        answer = one(
            connection,
            "INSERT INTO chat.messages (conversation_id, user_id, sender_type, content, parent_message_id)"
            " VALUES (%s, %s, 'assistant', 'hi', %s) RETURNING id",
            [ada.conversation, ada.user, ada.message],
        )
        connection.execute("DELETE FROM chat.messages WHERE id = %s", [ada.message])
        assert connection.execute("SELECT id, parent_message_id FROM chat.messages").fetchall() == [(answer, None)]
        assert one(connection, "SELECT count(*) FROM chat.usage_tracking") == 0
    with connect(migrated) as owner:
        owner.execute("DELETE FROM auth.users WHERE id = %s", [ada.user])
    with connect(migrated.to(role="")) as superuser:
        for table in NAMES:
            query = f"SELECT user_id FROM chat.{table}"
            assert superuser.execute(query.encode()).fetchall() == [(bob.user,)]


def test_a_changed_conversation_says_when(migrated: Target) -> None:
    ada = person(migrated)
    with service(migrated, ada.user) as connection:
        # No search_path of the caller's can put another now() in the function's way.
        connection.execute("SET search_path = pg_temp")
        before = one(connection, "SELECT updated_at FROM chat.conversations")
        changed = one(
            connection, "UPDATE chat.conversations SET title = 'Plans', updated_at = 'epoch' RETURNING updated_at"
        )
        assert changed > before


def test_a_page_of_messages_comes_from_one_index_without_sorting(migrated: Target) -> None:
    """The policy fixes user_id, so the index of the foreign key gives the order too."""
    ada = person(migrated)
    with service(migrated, ada.user) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        query = "EXPLAIN SELECT * FROM chat.messages WHERE conversation_id = %s"
        query += " AND (created_at, id) > ('2026-01-01', %s) ORDER BY created_at, id LIMIT 50"
        plan = "\n".join(line for (line,) in connection.execute(query.encode(), [ada.conversation, ada.message]))
    assert "messages_conversation_id_user_id_created_at_id_idx" in plan
    assert "Sort" not in plan


def test_its_sql_may_run_twice_through_psql(fg: Target, tmp_path: Path) -> None:
    file = up_file("futureguide", tmp_path)
    for _ in range(2):
        said = psql(fg, str(file), file=True)
        assert (said.status, "ERROR" in said.errors) == (0, False)
    product = products.load("futureguide")
    with connect(fg) as connection:
        assert snapshot.read_live(connection, product) == snapshot.load(product, 1)


def test_a_schema_that_the_stack_made_is_taken_as_it_is(fg: Target) -> None:
    with connect(fg) as owner:
        owner.execute("CREATE SCHEMA chat")
        owner.execute("GRANT USAGE ON SCHEMA chat TO fg_user")
        owner.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA chat GRANT SELECT ON TABLES TO fg_user")
    assert migrate(fg, "futureguide").version == 3
    ada = "00000000-0000-0000-0000-000000000000"
    with service(fg, ada) as connection:
        assert one(connection, "SELECT count(*) FROM chat.messages") == 0
    assert roll_back(fg, "futureguide").version == 0


@pytest.mark.parametrize("way", ["the document's statement", "the tool"])
def test_rolling_back_leaves_no_function_grant_or_role_and_auth_untouched(migrated: Target, way: str) -> None:
    person(migrated)
    with connect(migrated) as owner:
        owner.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA chat GRANT SELECT ON TABLES TO fg_user")
        roles = owner.execute("SELECT rolname FROM pg_roles ORDER BY 1").fetchall()
    if way == "the tool":
        assert roll_back(migrated, "futureguide").version == 0
    else:
        said = psql(migrated, ROLLBACK)
        assert (said.status, "ERROR" in said.errors) == (0, False)
        assert psql(migrated, ROLLBACK).status != 0  # it says no IF EXISTS: the second time there is none
        assert roll_back(migrated, "futureguide").version == 0
    with connect(migrated) as owner:
        assert one(owner, "SELECT count(*) FROM pg_namespace WHERE nspname = 'chat'") == 0
        assert one(owner, "SELECT count(*) FROM pg_proc WHERE proname = 'set_updated_at'") == 0
        assert one(owner, "SELECT count(*) FROM pg_default_acl") == 0
        # What the role still has in this database is listed in pg_shdepend.
        left = "SELECT count(*) FROM pg_shdepend JOIN pg_database AS d ON d.oid = dbid"
        left += " WHERE datname = current_database() AND refobjid = 'fg_user'::regrole"
        assert one(owner, left) == 0
        assert owner.execute("SELECT rolname FROM pg_roles ORDER BY 1").fetchall() == roles
        assert one(owner, "SELECT count(*) FROM auth.users") == 1
    assert migrate(migrated, "futureguide").version == 3


@pytest.mark.parametrize(
    ("prepare", "sqlstate", "message"),
    [
        pytest.param("SELECT", "3F000", "the schema auth does not exist", id="no schema auth"),
        pytest.param("CREATE SCHEMA auth", "42P01", "the table auth.users does not exist", id="no auth.users"),
        pytest.param(
            "CREATE SCHEMA auth CREATE TABLE auth.users (id bigint PRIMARY KEY)",
            "42804",
            "auth.users.id is bigint, and futureguide needs uuid",
            id="auth.users of another type",
        ),
    ],
)
def test_each_prerequisite_has_an_error_of_its_own(
    product_database: Callable[..., Target], prepare: str, sqlstate: str, message: str
) -> None:
    target = product_database("futureguide", stand_ins=False)
    with connect(target) as connection:
        connection.execute(prepare.encode())
    with pytest.raises(preflight.PrerequisiteError) as caught:
        migrate(target, "futureguide")
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)
    with connect(target) as connection:
        assert one(connection, "SELECT count(*) FROM pg_namespace WHERE nspname = 'chat'") == 0


def test_the_service_role_is_a_prerequisite(fg: Target) -> None:
    """The policies are for it, and the migration makes no role."""
    with connect(fg.to(role="")) as superuser:
        superuser.execute("ALTER ROLE fg_user RENAME TO fg_elsewhere")
        try:
            with pytest.raises(preflight.PrerequisiteMissingError) as caught:
                migrate(fg, "futureguide")
        finally:
            superuser.execute("ALTER ROLE fg_elsewhere RENAME TO fg_user")
    assert (caught.value.sqlstate, caught.value.message) == ("42704", "the role fg_user does not exist")
