"""Grant and DefaultPrivileges of the embedded provider, as superuser and as a managed server's administrator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from embedded.engine.postgresql import PostgresqlProvider
from embedded.server import ServerFile
from infra.connection import Target
from tests.support.postgres import drop_database, unique
from tests.support.provider import (
    DATABASE,
    DEFAULT_PRIVILEGES,
    GRANT,
    ROLE,
    SCHEMA,
    change,
    make,
    now,
    rows,
    statements,
)

ON_RELATION = """
    SELECT privilege_type FROM pg_class, aclexplode(relacl)
    WHERE relname = %s AND relnamespace = 'chat'::regnamespace AND grantee = %s::regrole ORDER BY 1
    """
MAY_CONNECT = "SELECT has_database_privilege('public', %s, 'CONNECT')"


@dataclass(frozen=True)
class Place:
    """A database with a schema `chat` of an owner's, two tables, a sequence, a function, and a role to grant to."""

    database: str
    owner: str
    role: str
    target: Target

    def held(self, relation: str) -> list[str]:
        """Return what the role holds on a table or sequence."""
        return [row[0] for row in rows(self.target, ON_RELATION, relation, self.role)]


@pytest.fixture
def place(provider: PostgresqlProvider, server: ServerFile) -> Iterator[Place]:
    """A place to grant in, made by the provider, its objects by their owner."""
    database = unique("db")
    owner, role = (make(provider, ROLE, name=unique(kind))[0] for kind in ("owner", "app"))
    make(provider, DATABASE, name=database, owner=owner)
    make(provider, SCHEMA, name="chat", database=database, owner=owner)
    target = server.target(database)
    statements(
        target.to(role=owner),
        """
        CREATE TABLE chat.messages (id int, body text);
        CREATE TABLE chat.sessions (id int);
        CREATE SEQUENCE chat.numbers;
        CREATE FUNCTION chat.answer() RETURNS int LANGUAGE sql RETURN 42;
        """,
    )
    yield Place(database=database, owner=owner, role=role, target=target)
    drop_database(server, database)


def on_tables(place: Place, *privileges: str, **more: Any) -> dict[str, Any]:
    """Return the inputs of a grant on tables of the place."""
    shared = {"database": place.database, "role": place.role, "schema": "chat", "objectType": "table"}
    return {**shared, "privileges": list(privileges), **more}


@pytest.mark.parametrize(
    ("inputs", "suffix"),
    [
        pytest.param({"objectType": "database", "privileges": ["CONNECT"]}, "database", id="database"),
        pytest.param({"objectType": "schema", "privileges": ["USAGE"]}, "chat_schema", id="schema"),
        pytest.param({"objectType": "table", "privileges": ["SELECT"]}, "chat_table", id="all tables"),
        pytest.param(
            {"objectType": "table", "privileges": ["SELECT"], "objects": ["sessions", "messages"]},
            "chat_table_sessions_messages",
            id="two tables",
        ),
        pytest.param({"objectType": "sequence", "privileges": ["USAGE", "SELECT"]}, "chat_sequence", id="sequences"),
        pytest.param({"objectType": "function", "privileges": ["EXECUTE"]}, "chat_function", id="functions"),
    ],
)
def test_a_grant_is_made_read_and_revoked(
    provider: PostgresqlProvider, place: Place, inputs: dict[str, Any], suffix: str
) -> None:
    """The id is the official plugin's, which orders a set by its items' CRC-32."""
    where = {} if inputs["objectType"] == "database" else {"schema": "chat"}
    inputs = {"database": place.database, "role": place.role, **where, **inputs}
    id_, outputs = make(provider, GRANT, **inputs)
    assert id_ == f"{place.role}_{place.database}_{suffix}"
    assert set(outputs["privileges"]) == set(inputs["privileges"])
    assert outputs["withGrantOption"] is False
    assert now(provider, GRANT, **inputs) == inputs
    provider.delete(GRANT, id_, inputs, {})
    assert now(provider, GRANT, **inputs) == {**inputs, "privileges": []}


def test_a_grant_is_on_the_objects_named_and_no_others(provider: PostgresqlProvider, place: Place) -> None:
    make(provider, GRANT, **on_tables(place, "INSERT", "SELECT", objects=["messages"]))
    assert (place.held("messages"), place.held("sessions")) == (["INSERT", "SELECT"], [])


def test_privileges_are_brought_to_exactly_those_given(provider: PostgresqlProvider, place: Place) -> None:
    inputs = on_tables(place, "INSERT", "SELECT", objects=["messages"])
    make(provider, GRANT, **inputs)
    assert change(provider, GRANT, inputs, privileges=["DELETE", "SELECT"]) == ("privileges",)
    assert place.held("messages") == ["DELETE", "SELECT"]
    change(provider, GRANT, inputs, privileges=[])
    assert place.held("messages") == []


def test_all_is_every_privilege_and_no_drift(provider: PostgresqlProvider, place: Place) -> None:
    inputs = on_tables(place, "ALL")
    make(provider, GRANT, **inputs)
    assert now(provider, GRANT, **inputs) == inputs
    assert len(place.held("messages")) == 8  # MAINTAIN is the eighth, from PostgreSQL 17 on


def test_the_order_of_privileges_is_no_difference(provider: PostgresqlProvider, place: Place) -> None:
    old, new = on_tables(place, "SELECT", "INSERT"), on_tables(place, "INSERT", "SELECT")
    assert provider.diff(GRANT, "", old, {}, new).changed == ()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        pytest.param("REVOKE INSERT ON chat.messages FROM {}", ["SELECT"], id="one revoked"),
        pytest.param("GRANT DELETE ON chat.messages TO {}", ["DELETE", "INSERT", "SELECT"], id="one granted"),
        pytest.param("REVOKE ALL ON chat.messages FROM {}", [], id="all revoked"),
    ],
)
def test_a_refresh_finds_a_grants_drift_and_the_next_update_mends_it(
    provider: PostgresqlProvider, place: Place, statement: str, found: list[str]
) -> None:
    inputs = on_tables(place, "INSERT", "SELECT", objects=["messages"])
    make(provider, GRANT, **inputs)
    statements(place.target, statement.format(place.role))
    drifted = now(provider, GRANT, **inputs)
    assert drifted == {**inputs, "privileges": found}
    provider.update(GRANT, "", drifted, {}, inputs)
    assert now(provider, GRANT, **inputs) == inputs
    assert place.held("messages") == ["INSERT", "SELECT"]


def test_a_table_made_after_a_grant_on_all_tables_is_drift(provider: PostgresqlProvider, place: Place) -> None:
    inputs = on_tables(place, "SELECT")
    make(provider, GRANT, **inputs)
    statements(place.target.to(role=place.owner), "CREATE TABLE chat.later ()")
    assert now(provider, GRANT, **inputs) == {**inputs, "privileges": []}


def test_the_grant_option_is_given_found_missing_and_taken(provider: PostgresqlProvider, place: Place) -> None:
    inputs = on_tables(place, "SELECT", objects=["messages"], withGrantOption=True)
    make(provider, GRANT, **inputs)
    assert now(provider, GRANT, **inputs) == inputs
    statements(place.target, f"REVOKE GRANT OPTION FOR SELECT ON chat.messages FROM {place.role}")
    assert now(provider, GRANT, **inputs) == {**inputs, "withGrantOption": False}
    plain = on_tables(place, "SELECT", objects=["messages"])
    make(provider, GRANT, **inputs)
    make(provider, GRANT, **plain)
    assert now(provider, GRANT, **plain) == plain


def test_public_loses_what_every_role_may_do_by_default(provider: PostgresqlProvider, place: Place) -> None:
    """On an untouched database PUBLIC may connect, though no privilege is written anywhere: that is drift too."""
    inputs = {"database": place.database, "role": "public", "objectType": "database", "privileges": []}
    assert now(provider, GRANT, **inputs) == {**inputs, "privileges": ["CONNECT", "TEMPORARY"]}
    assert rows(place.target, MAY_CONNECT, place.database) == [(True,)]
    make(provider, GRANT, **inputs)
    assert rows(place.target, MAY_CONNECT, place.database) == [(False,)]
    assert now(provider, GRANT, **inputs) == inputs
    provider.delete(GRANT, "", inputs, {})
    assert rows(place.target, MAY_CONNECT, place.database) == [(False,)]


def test_a_managed_administrator_grants_on_anothers_objects_and_keeps_no_membership(
    provider: PostgresqlProvider, place: Place, administrator: ServerFile
) -> None:
    make(provider, GRANT, **on_tables(place, "SELECT"))
    query = (
        "SELECT grantor::regrole::text FROM pg_class, aclexplode(relacl) WHERE relname = %s AND grantee = %s::regrole"
    )
    assert rows(place.target, query, "messages", place.role) == [(place.owner,)]
    borrowed = "SELECT FROM pg_auth_members WHERE pg_get_userbyid(member) = %s AND (inherit_option OR set_option)"
    assert rows(place.target, borrowed, administrator.username) == []


def test_default_privileges_are_made_read_changed_and_taken_back(provider: PostgresqlProvider, place: Place) -> None:
    inputs = on_tables(place, "SELECT", owner=place.owner)
    id_, outputs = make(provider, DEFAULT_PRIVILEGES, **inputs)
    assert id_ == f"{place.role}_{place.database}_chat_{place.owner}_table"
    assert outputs == {**inputs, "withGrantOption": False}
    assert now(provider, DEFAULT_PRIVILEGES, **inputs) == inputs
    statements(place.target.to(role=place.owner), "CREATE TABLE chat.later ()")
    assert place.held("later") == ["SELECT"]
    assert change(provider, DEFAULT_PRIVILEGES, inputs, privileges=["INSERT"]) == ("privileges",)
    statements(place.target.to(role=place.owner), "CREATE TABLE chat.latest ()")
    assert place.held("latest") == ["INSERT"]
    provider.delete(DEFAULT_PRIVILEGES, id_, {**inputs, "privileges": ["INSERT"]}, {})
    assert now(provider, DEFAULT_PRIVILEGES, **inputs) is None
    assert rows(place.target, "SELECT FROM pg_default_acl") == []


def test_default_privileges_are_for_objects_of_their_owner_alone(provider: PostgresqlProvider, place: Place) -> None:
    make(provider, DEFAULT_PRIVILEGES, **on_tables(place, "SELECT", owner=place.owner))
    statements(place.target, "CREATE TABLE chat.of_the_superuser ()")
    assert place.held("of_the_superuser") == []


def test_new_functions_are_kept_from_public_outside_any_schema(provider: PostgresqlProvider, place: Place) -> None:
    """PostgreSQL lets PUBLIC execute every new function; only a default without a schema can take that away."""
    inputs = {
        "database": place.database,
        "owner": place.owner,
        "role": "public",
        "objectType": "function",
        "privileges": [],
    }
    assert now(provider, DEFAULT_PRIVILEGES, **inputs) == {**inputs, "privileges": ["EXECUTE"]}
    id_, _ = make(provider, DEFAULT_PRIVILEGES, **inputs)
    assert id_ == f"public_{place.database}_noschema_{place.owner}_function"
    assert now(provider, DEFAULT_PRIVILEGES, **inputs) == inputs
    statements(place.target.to(role=place.owner), "CREATE FUNCTION chat.later() RETURNS int LANGUAGE sql RETURN 1")
    query = "SELECT has_function_privilege('public', %s, 'EXECUTE')"
    assert rows(place.target, query, "chat.later()") == [(False,)]
    assert rows(place.target, query, "chat.answer()") == [(True,)]


@pytest.mark.parametrize("missing", ["database", "role", "schema"], ids=["no database", "no role", "no schema"])
def test_a_grant_whose_object_is_gone_is_gone_and_is_deleted_without_error(
    provider: PostgresqlProvider, place: Place, missing: str
) -> None:
    for type_, more in ((GRANT, {}), (DEFAULT_PRIVILEGES, {"owner": place.owner})):
        inputs = on_tables(place, "SELECT", **more) | {missing: "no_such_thing"}
        assert now(provider, type_, **inputs) is None
        provider.delete(type_, "", inputs, {})


@pytest.mark.parametrize("key", ["database", "role", "schema", "objectType", "objects", "withGrantOption"])
def test_where_a_grant_is_replaces_it(provider: PostgresqlProvider, key: str) -> None:
    old = {"database": "d", "role": "r", "schema": "s", "objectType": "table", "objects": ["a"], "privileges": []}
    new = {**old, key: {"objects": ["b"], "withGrantOption": True}.get(key, "other")}
    diff = provider.diff(GRANT, "", old, {}, new)
    assert (diff.changed, diff.replaces, diff.delete_before_replace) == ((key,), (key,), True)
