"""FutureGuide's row security fails closed and holds on every way to the rows, on a direct connection as fg_user.

That each user sees and changes their own rows alone, and the pooled connection: `test_document_futureguide`, tenants.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from embedded.server import ServerFile
from infra.connection import Target, connect
from tests.database.test_document_futureguide import NAMES, Person, person, service
from tests.support.documents import migrate, one, refused
from tests.support.postgres import APP_PASSWORD, product_database

# Made by the owner, as a migration would: what goes round a policy where it is not forced.
WAYS = """
CREATE VIEW chat.of_the_owner AS SELECT * FROM chat.messages;
CREATE VIEW chat.of_the_caller WITH (security_invoker = true) AS SELECT * FROM chat.messages;
CREATE VIEW chat.behind_a_barrier WITH (security_barrier = true) AS SELECT * FROM chat.messages;
CREATE FUNCTION chat.as_the_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = ''
    AS 'SELECT count(*) FROM chat.messages';
CREATE FUNCTION chat.as_the_caller() RETURNS bigint LANGUAGE sql SET search_path = ''
    AS 'SELECT count(*) FROM chat.messages';
CREATE FUNCTION chat.written_by_the_owner(who uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = ''
    AS 'INSERT INTO chat.conversations (user_id) VALUES (who)';
GRANT USAGE ON SCHEMA chat TO fg_user, futureguide_readonly, futureguide_analytics;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chat TO fg_user;
GRANT SELECT ON ALL TABLES IN SCHEMA chat TO futureguide_readonly;
GRANT SELECT ON chat.usage_tracking TO futureguide_analytics;
"""


@pytest.fixture(scope="module")
def fg(server: ServerFile) -> Iterator[Target]:
    """FutureGuide's database with views and functions over its messages; as its owner."""
    with product_database(server, "futureguide") as target:
        migrate(target, "futureguide")
        with connect(target) as owner:
            owner.execute(WAYS.encode())
        yield target


@pytest.fixture(scope="module")
def people(fg: Target) -> tuple[Person, Person]:
    """Two users with a conversation, a message and a usage record each."""
    return person(fg), person(fg)


@pytest.mark.parametrize("table", NAMES)
@pytest.mark.parametrize(
    "identity",
    ["nobody", "' OR true --", "00000000", "{}", " ", "null", "00000000-0000-0000-0000-00000000000g"],
)
def test_a_malformed_identity_gets_an_error_and_never_a_row(
    fg: Target, people: tuple[Person, Person], table: str, identity: str
) -> None:
    """22P02 for reading, writing and deleting; nothing is taken for a user."""
    with service(fg, identity) as connection:
        assert refused(connection, f"SELECT * FROM chat.{table}") == "22P02"
        assert refused(connection, f"UPDATE chat.{table} SET created_at = now()") == "22P02"
        assert refused(connection, f"DELETE FROM chat.{table}") == "22P02"
        assert refused(connection, "INSERT INTO chat.conversations (user_id) VALUES (%s)", [people[0].user]) == "22P02"


@pytest.mark.parametrize("identity", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("table", NAMES)
def test_nobody_changes_nothing_and_may_write_nothing(
    fg: Target, people: tuple[Person, Person], table: str, identity: str | None
) -> None:
    """No identity is no user: no row to read, change or delete, and none that may be written."""
    with service(fg, identity) as connection:
        assert connection.execute(f"SELECT * FROM chat.{table}".encode()).fetchall() == []
        assert connection.execute(f"UPDATE chat.{table} SET created_at = now()".encode()).rowcount == 0
        assert connection.execute(f"DELETE FROM chat.{table}".encode()).rowcount == 0
        assert refused(connection, "INSERT INTO chat.conversations (user_id) VALUES (%s)", [people[0].user]) == "42501"


@pytest.mark.parametrize(
    ("relation", "seen"),
    [("of_the_caller", 1), ("behind_a_barrier", 0), ("of_the_owner", 0)],
)
def test_a_view_shows_no_more_than_its_reader_or_owner_may_see(
    fg: Target, people: tuple[Person, Person], relation: str, seen: int
) -> None:
    """The caller's rows with security_invoker; without it the owner's, and FORCE leaves it none."""
    with service(fg, people[0].user) as connection:
        found = connection.execute(f"SELECT user_id FROM chat.{relation}".encode()).fetchall()
    assert found == [(people[0].user,)] * seen


def test_a_function_shows_no_more_than_its_caller_or_owner_may_see(fg: Target, people: tuple[Person, Person]) -> None:
    """As the caller the caller's own; as the owner (SECURITY DEFINER) none, and it writes none either."""
    with connect(fg) as owner:
        owner.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA chat TO fg_user")
    with service(fg, people[0].user) as connection:
        assert one(connection, "SELECT chat.as_the_caller()") == 1
        assert one(connection, "SELECT chat.as_the_owner()") == 0
        assert refused(connection, "SELECT chat.written_by_the_owner(%s)", [people[0].user]) == "42501"
        assert refused(connection, "SELECT chat.written_by_the_owner(%s)", [people[1].user]) == "42501"


@pytest.mark.parametrize("table", NAMES)
def test_copy_writes_out_the_users_own_rows_and_takes_none_in(
    fg: Target, people: tuple[Person, Person], table: str
) -> None:
    """COPY TO is filtered, as a table and as a query; COPY FROM is refused where row security is on (0A000)."""
    with service(fg, people[0].user) as connection:
        for source in (f"chat.{table}", f"(SELECT * FROM chat.{table})"):
            with connection.cursor().copy(f"COPY {source} TO STDOUT".encode()) as copy:
                rows = [bytes(block).decode() for block in copy]
            assert len(rows) == 1
            assert str(people[0].user) in rows[0]
            assert str(people[1].user) not in rows[0]
        with (
            pytest.raises(psycopg.errors.FeatureNotSupported),
            connection.cursor().copy(f"COPY chat.{table} FROM STDIN".encode()),
        ):
            pass


def test_returning_gives_back_the_users_own_rows_alone(fg: Target, people: tuple[Person, Person]) -> None:
    """Of an UPDATE and a DELETE without a condition, and none of a row that may not be written."""
    ada, bob = people
    with service(fg, ada.user) as connection, connection.transaction(force_rollback=True):
        changed = connection.execute("UPDATE chat.messages SET content = 'x' RETURNING user_id").fetchall()
        gone = connection.execute("DELETE FROM chat.messages RETURNING user_id").fetchall()
        assert (changed, gone) == ([(ada.user,)], [(ada.user,)])
        insert = "INSERT INTO chat.conversations (user_id) VALUES (%s) RETURNING id"
        assert refused(connection, insert, [bob.user]) == "42501"


@pytest.mark.parametrize(
    ("end", "sqlstate"),
    [
        ("DO NOTHING", ""),
        ("DO UPDATE SET title = 'taken'", "42501"),
        ("DO UPDATE SET user_id = excluded.user_id", "42501"),
    ],
)
def test_on_conflict_neither_changes_nor_shows_anothers_row(
    fg: Target, people: tuple[Person, Person], end: str, sqlstate: str
) -> None:
    """The key is taken by a row of the other user: it stays as it was, and nothing of it comes back."""
    ada, bob = people
    insert = f"INSERT INTO chat.conversations (id, user_id) VALUES (%s, %s) ON CONFLICT (id) {end} RETURNING title"
    with service(fg, ada.user) as connection:
        assert refused(connection, insert, [bob.conversation, ada.user]) == sqlstate
        if not sqlstate:
            assert connection.execute(insert.encode(), [bob.conversation, ada.user]).fetchall() == []
    with service(fg, bob.user) as connection:
        assert one(connection, "SELECT title FROM chat.conversations") == "New Conversation"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chat.messages AS m SET content = 'x' FROM chat.messages AS o WHERE o.id <> m.id",
        "DELETE FROM chat.messages AS m USING chat.messages AS o WHERE o.user_id <> m.user_id",
        "WITH gone AS (DELETE FROM chat.conversations WHERE user_id = %(other)s RETURNING id) SELECT id FROM gone",
        "SELECT m.id FROM chat.conversations AS c JOIN chat.messages AS m ON m.user_id <> c.user_id",
        "SELECT id FROM chat.messages WHERE user_id = %(other)s FOR UPDATE",
    ],
)
def test_no_join_or_sub_statement_reaches_anothers_row(
    fg: Target, people: tuple[Person, Person], statement: str
) -> None:
    """Each relation of a statement is filtered by itself."""
    ada, bob = people
    with service(fg, ada.user) as connection:
        assert connection.execute(statement.encode(), {"other": bob.user}).rowcount == 0


def test_row_security_cannot_be_switched_off(fg: Target, people: tuple[Person, Person]) -> None:
    """By a setting the query fails (42501) in place of showing all; TRUNCATE is not the service's."""
    with service(fg, people[0].user) as connection:
        connection.execute("SET row_security = off")
        assert refused(connection, "SELECT * FROM chat.messages") == "42501"
        connection.execute("RESET row_security")
        assert refused(connection, "TRUNCATE chat.messages CASCADE") == "42501"


def test_a_second_login_is_bound_like_the_first(fg: Target, server: ServerFile, people: tuple[Person, Person]) -> None:
    """A member of the service's role, as a rotation makes it: the policies are for it too."""
    with connect(server.target()) as superuser:
        superuser.execute("CREATE ROLE fg_user_b LOGIN PASSWORD 's3cret'")
        superuser.execute("GRANT fg_user TO fg_user_b")
    try:
        with connect(fg.to(user="fg_user_b", password="s3cret", role="")) as connection:
            for table in NAMES:
                assert one(connection, f"SELECT count(*) FROM chat.{table}") == 0
            connection.execute("SELECT set_config('app.current_user_id', %s, false)", [str(people[1].user)])
            for table in NAMES:
                query = f"SELECT user_id FROM chat.{table}"
                assert connection.execute(query.encode()).fetchall() == [(people[1].user,)]
            insert = "INSERT INTO chat.conversations (user_id) VALUES (%s)"
            assert refused(connection, insert, [people[0].user]) == "42501"
    finally:
        with connect(server.target()) as superuser:
            superuser.execute("DROP ROLE fg_user_b")


@pytest.mark.parametrize(("login", "seen"), [("futureguide_readonly", [0, 0, 0]), ("futureguide_analytics", [2])])
@pytest.mark.parametrize("identity", [None, "", "nobody", "ada"])
def test_who_looks_without_serving_sees_no_row_or_the_figures_alone(
    fg: Target, people: tuple[Person, Person], login: str, seen: list[int], identity: str | None
) -> None:
    """Whoever it says to be: no policy is for the reader, and analytics has one for usage, for all of it."""
    said = str(people[0].user) if identity == "ada" else identity
    tables = NAMES if login.endswith("readonly") else ("usage_tracking",)
    target = fg.to(user=login, password=APP_PASSWORD, role="")
    with connect(target) as connection:
        if said is not None:
            connection.execute("SELECT set_config('app.current_user_id', %s, false)", [said])
        assert [one(connection, f"SELECT count(*) FROM chat.{table}") for table in tables] == seen
