"""Database and Schema of the embedded provider, as superuser and as a managed server's administrator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedded.engine.postgresql import PostgresqlProvider
from embedded.engine.postgresql.objects import AlreadyExistsError
from embedded.server import ServerFile
from infra.connection import connect
from infra.errors import DatabaseError
from tests.support.postgres import drop_database, unique
from tests.support.provider import DATABASE, ROLE, SCHEMA, change, make, now, provider_of, rows, statements

BORROWED = """
    SELECT pg_get_userbyid(roleid) FROM pg_auth_members
    WHERE pg_get_userbyid(member) = %s AND (inherit_option OR set_option)
    """


@pytest.fixture
def name(server: ServerFile) -> Iterator[str]:
    """A database name that no other test has; dropped at the end."""
    chosen = unique("db")
    yield chosen
    drop_database(server, chosen)


@pytest.fixture
def owner(provider: PostgresqlProvider) -> str:
    """A role that may own things."""
    return make(provider, ROLE, name=unique("owner"))[0]


def test_a_database_has_the_officials_id_and_outputs(provider: PostgresqlProvider, name: str, owner: str) -> None:
    id_, outputs = make(provider, DATABASE, name=name, owner=owner, lcCollate="C", lcCtype="C", connectionLimit=20)
    assert id_ == name
    assert outputs == {
        "name": name,
        "owner": owner,
        "template": "template0",
        "encoding": "UTF8",
        "lcCollate": "C",
        "lcCtype": "C",
        "tablespaceName": "pg_default",
        "connectionLimit": 20,
        "allowConnections": True,
        "isTemplate": False,
        "alterObjectOwnership": False,
    }


def test_a_managed_administrator_gives_the_database_away_and_keeps_no_membership(
    provider: PostgresqlProvider, server: ServerFile, name: str, owner: str, administrator: ServerFile
) -> None:
    """Making the owner of a database takes membership in it on PostgreSQL 16: it is held for that moment alone."""
    make(provider, DATABASE, name=name, owner=owner)
    assert now(provider, DATABASE, name=name, owner=owner) == {"name": name, "owner": owner}
    assert rows(server.target(), BORROWED, administrator.username) == []


def test_a_refresh_finds_a_databases_drift_and_the_next_update_mends_it(
    provider: PostgresqlProvider, server: ServerFile, name: str, owner: str
) -> None:
    inputs = {"name": name, "owner": owner}
    make(provider, DATABASE, **inputs)
    statements(server.target(), f"ALTER DATABASE {name} CONNECTION LIMIT 3; ALTER DATABASE {name} OWNER TO postgres")
    drifted = now(provider, DATABASE, **inputs)
    assert drifted == {"name": name, "owner": "postgres", "connectionLimit": 3}
    assert provider.diff(DATABASE, name, drifted, {}, inputs).changed == ("owner", "connectionLimit")


def test_a_database_is_changed_in_place(
    provider: PostgresqlProvider, server: ServerFile, name: str, owner: str
) -> None:
    other = make(provider, ROLE, name=unique("owner"))[0]
    inputs = {"name": name, "owner": owner}
    make(provider, DATABASE, **inputs)
    assert change(provider, DATABASE, inputs, owner=other, connectionLimit=5) == ("owner", "connectionLimit")
    assert now(provider, DATABASE, **inputs) == {"name": name, "owner": other, "connectionLimit": 5}


def test_a_new_name_renames_the_database_and_keeps_its_data(provider: PostgresqlProvider, server: ServerFile) -> None:
    old, new = unique("db"), unique("db")
    make(provider, DATABASE, name=old)
    statements(server.target(old), "CREATE SCHEMA kept")
    change(provider, DATABASE, {"name": old}, name=new)
    assert rows(server.target(new), "SELECT nspname FROM pg_namespace WHERE nspname = 'kept'") == [("kept",)]
    provider.delete(DATABASE, new, {"name": new}, {})
    assert now(provider, DATABASE, name=new) is None


@pytest.mark.parametrize("key", ["template", "encoding", "lcCollate", "lcCtype"])
def test_what_a_database_is_made_from_replaces_it(provider: PostgresqlProvider, key: str) -> None:
    """Two databases of one name cannot stand beside each other: the old one goes first."""
    diff = provider.diff(DATABASE, "chat", {"name": "chat", key: "a"}, {}, {"name": "chat", key: "b"})
    assert (diff.changed, diff.replaces, diff.delete_before_replace) == ((key,), (key,), True)


def test_what_the_server_decides_is_no_difference(provider: PostgresqlProvider) -> None:
    outputs = {"name": "chat", "owner": "someone", "encoding": "UTF8", "lcCollate": "C", "template": "template0"}
    assert provider.diff(DATABASE, "chat", {"name": "chat"}, outputs, {"name": "chat"}).changed == ()
    news = {"name": "chat", "owner": "someone", "encoding": "UTF8"}
    assert provider.diff(DATABASE, "chat", {"name": "chat"}, outputs, news).changed == ()


def test_a_foreign_database_of_the_name_is_refused_and_left(
    provider: PostgresqlProvider, server: ServerFile, name: str
) -> None:
    statements(server.target(), f"CREATE DATABASE {name} CONNECTION LIMIT 2")
    with pytest.raises(AlreadyExistsError, match=f"the database {name} exists already"):
        make(provider, DATABASE, name=name)
    assert rows(server.target(), "SELECT datconnlimit FROM pg_database WHERE datname = %s", name) == [(2,)]


def test_a_resumed_create_brings_the_database_of_the_killed_run_to_what_is_wanted(
    provider: PostgresqlProvider, name: str, owner: str
) -> None:
    make(provider, DATABASE, name=name)
    provider.create(DATABASE, {"name": name, "owner": owner}, resumed=True)
    assert now(provider, DATABASE, name=name, owner=owner) == {"name": name, "owner": owner}


def test_a_database_whose_owner_does_not_exist_is_not_left_half_made(
    provider: PostgresqlProvider, server: ServerFile, name: str
) -> None:
    with pytest.raises(DatabaseError, match=f"cannot create the database {name}"):
        make(provider, DATABASE, name=name, owner="no_such_role")
    assert rows(server.target(), "SELECT FROM pg_database WHERE datname = %s", name) == []


def test_a_database_is_dropped_under_its_sessions(provider: PostgresqlProvider, server: ServerFile, owner: str) -> None:
    name = unique("db")
    login = make(provider, ROLE, name=unique("app"), login=True, password="s3cret")[0]
    make(provider, DATABASE, name=name, owner=owner, isTemplate=True)
    with connect(server.target(name).to(user=login, password="s3cret")):
        provider.delete(DATABASE, name, {"name": name}, {})
    assert now(provider, DATABASE, name=name) is None
    provider.delete(DATABASE, name, {"name": name}, {})  # a second time is no error


def test_a_session_that_may_not_be_ended_is_named_and_the_database_stays_open(
    server: ServerFile, managed_admin: ServerFile
) -> None:
    """A superuser's, with a managed administrator: who it is, what to do, and everything as it was."""
    name = unique("db")
    with provider_of(managed_admin) as provider:
        owner = make(provider, ROLE, name=unique("owner"))[0]
        login = make(provider, ROLE, name=unique("app"), login=True, password="s3cret")[0]
        make(provider, DATABASE, name=name, owner=owner)
        monitor = server.target(name).to(application_name="monitoring")
        with connect(monitor) as watching, connect(server.target(name).to(user=login, password="s3cret")) as service:
            with pytest.raises(
                DatabaseError, match=f"cannot drop the database {name}: 2 sessions are connected"
            ) as told:
                provider.delete(DATABASE, name, {"name": name}, {})
            assert told.value.sqlstate == "42501"
            assert f"\n  postgres in {name}: pid {watching.info.backend_pid}, monitoring" in told.value.detail
            assert f"\n  {login} in {name}: pid {service.info.backend_pid}, chatdb, since 2" in told.value.detail
            assert "SELECT pg_terminate_backend(" in told.value.hint
            assert told.value.state == f"{name} stands as it was, open to its logins."
            assert service.execute("SELECT 1").fetchone() == (1,)
            connect(server.target(name).to(user=login, password="s3cret")).close()
        assert rows(
            server.target(), "SELECT datallowconn, datistemplate FROM pg_database WHERE datname = %s", name
        ) == [(True, False)]
        assert rows(server.target(), BORROWED, managed_admin.username) == []
        provider.delete(DATABASE, name, {"name": name}, {})
        assert now(provider, DATABASE, name=name) is None


def test_a_schema_is_made_read_changed_and_dropped(
    provider: PostgresqlProvider, server: ServerFile, name: str, owner: str, administrator: ServerFile
) -> None:
    make(provider, DATABASE, name=name, owner=owner)
    inputs = {"name": "chat", "database": name, "owner": owner}
    id_, outputs = make(provider, SCHEMA, **inputs)
    assert id_ == f"{name}.chat"
    assert outputs == {**inputs, "ifNotExists": True, "dropCascade": False, "policies": []}
    assert now(provider, SCHEMA, **inputs) == inputs
    other = make(provider, ROLE, name=unique("owner"))[0]
    assert change(provider, SCHEMA, inputs, name="talk", owner=other) == ("name", "owner")
    inputs = {"name": "talk", "database": name, "owner": other}
    assert now(provider, SCHEMA, **inputs) == inputs
    provider.delete(SCHEMA, id_, inputs, {})
    assert now(provider, SCHEMA, **inputs) is None
    provider.delete(SCHEMA, id_, inputs, {})
    assert rows(server.target(), BORROWED, administrator.username) == []


def test_a_schema_that_holds_something_is_dropped_only_with_cascade(
    provider: PostgresqlProvider, server: ServerFile, name: str, owner: str
) -> None:
    make(provider, DATABASE, name=name, owner=owner)
    inputs = {"name": "chat", "database": name, "owner": owner}
    make(provider, SCHEMA, **inputs)
    statements(server.target(name), "CREATE TABLE chat.messages ()")
    with pytest.raises(DatabaseError) as raised:
        provider.delete(SCHEMA, "", inputs, {})
    assert "table chat.messages depends on schema chat" in raised.value.detail
    assert raised.value.hint == "Empty it first, or set drop_cascade=True where all in it may go."
    provider.delete(SCHEMA, "", {**inputs, "dropCascade": True}, {})
    assert now(provider, SCHEMA, **inputs) is None


def test_a_schema_that_stands_is_taken_over_unless_that_is_forbidden(
    provider: PostgresqlProvider, server: ServerFile, name: str, owner: str
) -> None:
    make(provider, DATABASE, name=name, owner=owner)
    inputs = {"name": "public", "database": name, "owner": owner}
    with pytest.raises(AlreadyExistsError, match="the schema public exists already"):
        make(provider, SCHEMA, **inputs, ifNotExists=False)
    make(provider, SCHEMA, **inputs)
    assert now(provider, SCHEMA, **inputs) == inputs


def test_a_schema_of_a_database_that_is_gone_is_gone(provider: PostgresqlProvider) -> None:
    inputs = {"name": "chat", "database": "no_such_database"}
    assert now(provider, SCHEMA, **inputs) is None
    provider.delete(SCHEMA, "", inputs, {})
