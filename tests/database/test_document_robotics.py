"""What the robotics platform's document says of `chats`, on a real server and through the real psql."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra import products, verification
from infra.connection import Target, connect
from infra.migrations import preflight, runner
from infra.migrations.failures import ConfirmationError
from infra.migrations.options import Options
from tests.support.documents import columns, constraints, indexes, migrate, migrations, one, psql, refused, roll_back

FOREIGN_KEY = """\
SELECT constraint_name, table_name, constraint_type
FROM information_schema.table_constraints
WHERE table_name = 'chats' AND constraint_type = 'FOREIGN KEY';"""
INDEXES = "SELECT indexname FROM pg_indexes WHERE tablename = 'chats';"
# The document's <user_id> is what its first statement returns.
CASCADE = """\
-- Create test user
INSERT INTO users (name, email, hashed_password, software_experience, hardware_experience)
VALUES ('Test User', 'test@example.com', 'hashed', 'beginner', 'none')
RETURNING id
\\gset user_
-- Create test chat (replace <user_id> with the UUID from above)
INSERT INTO chats (user_id, query, response)
VALUES (:'user_id', 'Test query', 'Test response');
SELECT COUNT(*) FROM chats WHERE user_id = :'user_id';
-- Delete user (should cascade and delete chat)
DELETE FROM users WHERE email = 'test@example.com';
-- Verify chat was deleted
SELECT COUNT(*) FROM chats WHERE user_id = :'user_id';
"""


@pytest.fixture
def robotics(product_database: Callable[..., Target]) -> Target:
    """The platform's database with its prerequisite, before the first migration."""
    return product_database("robotics")


def test_the_first_migration_is_the_documents_schema(robotics: Target) -> None:
    migrate(robotics, "robotics", to=1)
    with connect(robotics) as connection:
        assert columns(connection, "chats") == [
            ("id", "uuid", "NN", "gen_random_uuid()"),
            ("user_id", "uuid", "NN", ""),
            ("query", "text", "NN", ""),
            ("response", "text", "NN", ""),
            ("metadata", "jsonb", "", ""),
            ("created_at", "timestamp with time zone", "", "now()"),
        ]
        assert constraints(connection, "chats") == {
            "chats_pkey": "PRIMARY KEY (id)",
            "chats_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
        }
        assert indexes(connection, "chats") == {
            "chats_pkey": "btree (id)",
            "idx_chats_user_id": "btree (user_id)",
            "idx_chats_created_at": "btree (created_at)",
        }


def test_the_documents_checks_give_the_table_its_foreign_key_and_its_indexes(robotics: Target) -> None:
    migrate(robotics, "robotics", to=1)
    table = psql(robotics, "SELECT table_name FROM information_schema.tables WHERE table_name = 'chats';")
    assert (table.status, table.lines) == (0, ["chats"])
    key = psql(robotics, FOREIGN_KEY)
    assert (key.status, key.lines) == (0, ["chats_user_id_fkey|chats|FOREIGN KEY"])
    index = psql(robotics, INDEXES)
    assert (index.status, sorted(index.lines)) == (0, ["chats_pkey", "idx_chats_created_at", "idx_chats_user_id"])


def test_the_documents_cascade_test_leaves_no_chat(robotics: Target) -> None:
    migrate(robotics, "robotics")
    said = psql(robotics, CASCADE)
    assert (said.status, said.lines, said.errors) == (0, ["1", "0"], "")


def test_verification_says_what_the_document_prints(robotics: Target) -> None:
    """Table created, two named indexes, a foreign key, a cascading delete, read from the catalogue."""
    migrate(robotics, "robotics")
    with connect(robotics) as connection:
        summary = verification.verify(connection, products.load("robotics"), 4).summary
    assert summary.tables == ("chats",)
    assert summary.named_indexes == ("idx_chats_created_at", "idx_chats_user_id")
    assert summary.has_foreign_key is True
    assert summary.cascades is True


def test_a_foreign_key_that_does_not_cascade_is_not_called_cascading(robotics: Target) -> None:
    migrate(robotics, "robotics")
    with connect(robotics) as connection:
        connection.execute(
            "ALTER TABLE chats DROP CONSTRAINT chats_user_id_fkey,"
            " ADD CONSTRAINT chats_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)"
        )
        summary = verification.verify(connection, products.load("robotics"), 4).summary
    assert (summary.has_foreign_key, summary.cascades) == (True, False)


@pytest.mark.parametrize(
    ("values", "sqlstate"),
    [
        pytest.param("('q', 'r', '{\"page\": 3}')", "", id="question, answer and context"),
        pytest.param("('q', 'r', NULL)", "", id="no context"),
        pytest.param("(NULL, 'r', NULL)", "23502", id="no question"),
        pytest.param("('q', NULL, NULL)", "23502", id="no answer"),
        pytest.param("('q', 'r', 'page 3')", "22P02", id="context is no JSON"),
    ],
)
def test_what_a_chat_must_have(robotics: Target, values: str, sqlstate: str) -> None:
    migrate(robotics, "robotics")
    with connect(robotics) as connection:
        user = one(
            connection, "INSERT INTO users (name, email, hashed_password) VALUES ('a', 'a@b.c', 'x') RETURNING id"
        )
        row = f"('{user}', {values[1:]}"
        assert refused(connection, f"INSERT INTO chats (user_id, query, response, metadata) VALUES {row}") == sqlstate
        nobody = row.replace(str(user), "00000000-0000-0000-0000-000000000000")
        unknown = refused(connection, f"INSERT INTO chats (user_id, query, response, metadata) VALUES {nobody}")
        assert unknown == (sqlstate or "23503")


def test_missing_users_is_a_named_error_with_its_solution(product_database: Callable[..., Target]) -> None:
    target = product_database("robotics", stand_ins=False)
    with pytest.raises(preflight.PrerequisiteMissingError) as caught:
        migrate(target, "robotics")
    assert caught.value.sqlstate == "42P01"
    assert caught.value.message == "the table public.users does not exist"
    assert caught.value.hint.startswith("Run the application's own migrations first")


@pytest.mark.parametrize(
    "phrase", ["delete chats table", " DELETE CHATS TABLE", "DELETE CHATS TABLE ", "DELETE CHATS", "", None]
)
def test_rollback_wants_its_phrase_to_the_letter(robotics: Target, phrase: str | None) -> None:
    migrate(robotics, "robotics")
    confirmation = products.load("robotics").confirmation
    assert confirmation == "DELETE CHATS TABLE"
    with pytest.raises(ConfirmationError):
        runner.rollback(
            robotics, migrations("robotics"), to=0, options=Options(), confirmation=confirmation, phrase=phrase
        )
    assert psql(robotics, INDEXES).lines != []
    assert runner.status(robotics, migrations("robotics")).version == 4


def test_rolling_back_drops_the_table_and_migrating_works_again(robotics: Target) -> None:
    migrate(robotics, "robotics")
    assert roll_back(robotics, "robotics").version == 0
    assert psql(robotics, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").lines == ["users"]
    assert roll_back(robotics, "robotics").names == ()
    assert migrate(robotics, "robotics").version == 4
