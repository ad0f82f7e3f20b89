"""Role and GrantRole of the embedded provider, as superuser and as a managed server's administrator."""

from __future__ import annotations

import psycopg
import pytest

from embedded.engine.postgresql import PostgresqlProvider
from embedded.engine.postgresql.objects import AlreadyExistsError
from embedded.server import ServerFile
from infra.connection import connect
from infra.credentials import scram_verifier
from infra.errors import ConnectionFailedError, DatabaseError
from tests.support.postgres import unique
from tests.support.provider import DATABASE, GRANT_ROLE, ROLE, change, make, now, provider_of, rows, statements

MEMBERS = "SELECT pg_get_userbyid(member), admin_option FROM pg_auth_members WHERE roleid = %s::regrole AND set_option"


def test_a_role_has_the_officials_id_and_outputs(provider: PostgresqlProvider) -> None:
    """Every property of the official plugin's state is an output, under its name there."""
    name = unique("role")
    id_, outputs = make(provider, ROLE, name=name, login=True, connectionLimit=5, statementTimeout=30000)
    assert id_ == name
    assert outputs == {
        "name": name,
        "superuser": False,
        "createDatabase": False,
        "createRole": False,
        "inherit": True,
        "login": True,
        "replication": False,
        "bypassRowLevelSecurity": False,
        "connectionLimit": 5,
        "validUntil": "infinity",
        "roles": [],
        "searchPaths": [],
        "statementTimeout": 30000,
        "idleInTransactionSessionTimeout": 0,
        "assumeRole": "",
        "encryptedPassword": True,
        "skipDropRole": False,
        "skipReassignOwned": False,
    }


def test_a_refresh_of_an_untouched_role_finds_its_inputs(provider: PostgresqlProvider) -> None:
    inputs = {
        "name": unique("role"),
        "login": True,
        "password": "s3cret",
        "createDatabase": True,
        "connectionLimit": 7,
        "validUntil": "2031-02-03T00:00:00Z",
        "searchPaths": ["chat", "$user", "Odd Name"],
        "statementTimeout": 15000,
        "idleInTransactionSessionTimeout": 30000,
    }
    make(provider, ROLE, **inputs)
    assert now(provider, ROLE, **inputs) == inputs


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        pytest.param("ALTER ROLE {} NOLOGIN", {"login": False}, id="a flag"),
        pytest.param("ALTER ROLE {} CONNECTION LIMIT 3", {"connectionLimit": 3}, id="a limit that was not given"),
        pytest.param("ALTER ROLE {} SET search_path TO a, b", {"searchPaths": ["a", "b"]}, id="a search path"),
        pytest.param("ALTER ROLE {} RESET statement_timeout", {"statementTimeout": 0}, id="a timeout reset"),
        pytest.param(
            "ALTER ROLE {} SET statement_timeout TO '2s'", {"statementTimeout": "2s"}, id="a timeout with unit"
        ),
    ],
)
def test_a_refresh_finds_drift_and_the_next_update_mends_it(
    server: ServerFile, provider: PostgresqlProvider, statement: str, found: dict[str, object]
) -> None:
    """What was changed by hand stands in the inputs, so that the program's inputs differ and are put back."""
    inputs = {"name": unique("role"), "login": True, "statementTimeout": 15000}
    make(provider, ROLE, **inputs)
    statements(server.target(), statement.format(inputs["name"]))
    drifted = now(provider, ROLE, **inputs)
    assert drifted == {**inputs, **found}
    assert provider.diff(ROLE, "", drifted, {}, inputs).changed == tuple(found)
    provider.update(ROLE, "", drifted, {}, inputs)
    assert now(provider, ROLE, **inputs) == inputs


def test_a_plain_password_is_sent_as_a_scram_verifier_and_logs_in(
    server: ServerFile, provider: PostgresqlProvider
) -> None:
    name = unique("role")
    make(provider, ROLE, name=name, login=True, password="it's s3cret")
    stored = rows(server.target(), "SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)[0][0]
    assert stored.startswith("SCRAM-SHA-256$4096:")
    connect(server.target().to(user=name, password="it's s3cret")).close()


def test_a_verifier_is_sent_as_it_is(server: ServerFile, provider: PostgresqlProvider) -> None:
    name, verifier = unique("role"), scram_verifier("s3cret", salt=b"0123456789abcdef")
    make(provider, ROLE, name=name, login=True, password=verifier)
    assert rows(server.target(), "SELECT rolpassword FROM pg_authid WHERE rolname = %s", name) == [(verifier,)]
    connect(server.target().to(user=name, password="s3cret")).close()


def test_a_changed_password_is_set_and_an_unchanged_one_is_not(
    server: ServerFile, provider: PostgresqlProvider
) -> None:
    """Setting an unchanged password again would draw a new salt, and end no session but break every comparison."""
    inputs = {"name": unique("role"), "login": True, "password": "first"}
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    make(provider, ROLE, **inputs)
    before = rows(server.target(), stored, inputs["name"])
    assert change(provider, ROLE, inputs, connectionLimit=9) == ("connectionLimit",)
    assert rows(server.target(), stored, inputs["name"]) == before
    assert change(provider, ROLE, inputs, password="second") == ("password",)
    connect(server.target().to(user=str(inputs["name"]), password="second")).close()
    with pytest.raises(ConnectionFailedError):
        connect(server.target().to(user=str(inputs["name"]), password="first"))


def test_a_verifier_changed_by_hand_is_drift_and_is_not_shown(server: ServerFile) -> None:
    verifier = scram_verifier("s3cret", salt=b"0123456789abcdef")
    inputs = {"name": unique("role"), "login": True, "password": verifier}
    with provider_of(server) as provider:
        make(provider, ROLE, **inputs)
        assert now(provider, ROLE, **inputs) == inputs
        statements(server.target(), f"ALTER ROLE {inputs['name']} PASSWORD 'other'")
        assert now(provider, ROLE, **inputs) == {**inputs, "password": ""}


def test_no_password_reaches_an_error(server: ServerFile) -> None:
    """The statement fails after the password was put into it; the message names neither password nor verifier."""
    with provider_of(server) as provider, pytest.raises(DatabaseError) as raised:
        make(provider, ROLE, name=unique("role"), login=True, password="s3cret", roles=["no_such_role"])
    assert "s3cret" not in str(raised.value)
    assert "SCRAM" not in str(raised.value)


def test_a_failed_create_leaves_no_role(server: ServerFile, provider: PostgresqlProvider) -> None:
    name = unique("role")
    with pytest.raises(DatabaseError, match=f"cannot create the role {name}"):
        make(provider, ROLE, name=name, roles=["no_such_role"])
    assert rows(server.target(), "SELECT FROM pg_roles WHERE rolname = %s", name) == []


def test_a_foreign_role_of_the_name_is_refused_and_left(server: ServerFile, provider: PostgresqlProvider) -> None:
    name = unique("role")
    statements(server.target(), f"CREATE ROLE {name} CONNECTION LIMIT 2")
    with pytest.raises(AlreadyExistsError, match=f"the role {name} exists already"):
        make(provider, ROLE, name=name, login=True)
    assert rows(server.target(), "SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", name) == [(2,)]


def test_a_resumed_create_brings_the_role_of_the_killed_run_to_what_is_wanted(provider: PostgresqlProvider) -> None:
    name = unique("role")
    make(provider, ROLE, name=name)
    provider.create(ROLE, {"name": name, "login": True, "password": "s3cret", "searchPaths": ["chat"]}, resumed=True)
    assert now(provider, ROLE, name=name) == {"name": name, "login": True, "searchPaths": ["chat"]}


def test_a_new_name_renames_the_role(server: ServerFile, provider: PostgresqlProvider) -> None:
    old, new = unique("role"), unique("role")
    make(provider, ROLE, name=old, connectionLimit=4)
    change(provider, ROLE, {"name": old, "connectionLimit": 4}, name=new)
    found = rows(server.target(), "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname IN (%s, %s)", old, new)
    assert found == [(new, 4)]


def test_roles_that_are_no_longer_given_are_revoked_and_those_of_others_stay(
    server: ServerFile, provider: PostgresqlProvider
) -> None:
    """A GrantRole beside the Role is not its business: neither drift nor something to revoke."""
    group, other, name = unique("group"), unique("group"), unique("role")
    for role in (group, other):
        make(provider, ROLE, name=role)
    make(provider, ROLE, name=name, roles=[group])
    make(provider, GRANT_ROLE, role=name, grantRole=other)
    id_, found, outputs = provider.read(ROLE, name, {"name": name}, {})
    assert (id_, found, outputs["roles"]) == (name, {"name": name}, [])
    assert provider.diff(ROLE, "", {"name": name}, {"roles": [group, other]}, {"name": name}).changed == ()
    old = {"name": name, "roles": [group]}
    assert provider.diff(ROLE, "", old, {}, {"name": name}).changed == ("roles",)
    provider.update(ROLE, "", old, {}, {"name": name})
    assert rows(server.target(), MEMBERS, group) == []
    assert rows(server.target(), MEMBERS, other) == [(name, False)]


def test_a_dropped_role_leaves_what_it_owned_to_the_administrator(
    provider: PostgresqlProvider, server: ServerFile, administrator: ServerFile
) -> None:
    name, database = unique("role"), unique("db")
    make(provider, ROLE, name=name)
    make(provider, DATABASE, name=database, owner=name)
    provider.delete(ROLE, name, {"name": name}, {})
    owner = rows(server.target(), "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", database)
    assert owner == [(administrator.username,)]
    provider.delete(DATABASE, database, {"name": database}, {})
    assert now(provider, ROLE, name=name) is None
    provider.delete(ROLE, name, {"name": name}, {})  # a second time is no error


def test_a_role_that_is_not_to_be_dropped_stays(provider: PostgresqlProvider) -> None:
    name = unique("role")
    make(provider, ROLE, name=name, skipDropRole=True)
    provider.delete(ROLE, name, {"name": name, "skipDropRole": True}, {})
    assert now(provider, ROLE, name=name) == {"name": name}


def test_a_role_that_owns_something_elsewhere_is_not_dropped_and_the_database_is_named(
    server: ServerFile, database: object, provider: PostgresqlProvider
) -> None:
    name = unique("role")
    make(provider, ROLE, name=name)
    target = server.target(database.database)  # type: ignore[attr-defined]
    statements(target, f"CREATE SCHEMA held AUTHORIZATION {name}")
    with pytest.raises(DatabaseError) as raised:
        provider.delete(ROLE, name, {"name": name}, {})
    assert raised.value.sqlstate == psycopg.errors.DependentObjectsStillExist.sqlstate
    assert target.database in raised.value.detail
    assert "REASSIGN OWNED BY" in raised.value.hint


def test_a_membership_is_made_read_and_ended(server: ServerFile, provider: PostgresqlProvider) -> None:
    group, name = unique("group"), unique("role")
    for role in (group, name):
        make(provider, ROLE, name=role)
    inputs = {"role": name, "grantRole": group}
    id_, outputs = make(provider, GRANT_ROLE, **inputs)
    assert id_ == f"{name}_{group}_false"
    assert outputs == {**inputs, "withAdminOption": False}
    assert now(provider, GRANT_ROLE, **inputs) == inputs
    assert rows(server.target(), MEMBERS, group) == [(name, False)]
    assert provider.diff(GRANT_ROLE, "", inputs, {}, {**inputs, "withAdminOption": True}).replaces == (
        "withAdminOption",
    )
    provider.delete(GRANT_ROLE, id_, inputs, {})
    assert rows(server.target(), MEMBERS, group) == []
    assert now(provider, GRANT_ROLE, **inputs) is None
    provider.delete(GRANT_ROLE, id_, {**inputs, "role": "no_such_role"}, {})


def test_the_right_to_administer_a_role_one_made_is_no_membership(
    managed_admin: ServerFile, server: ServerFile
) -> None:
    """PostgreSQL 16 and later record it in the same catalogue."""
    group = unique("group")
    inputs = {"role": managed_admin.username, "grantRole": group}
    with provider_of(managed_admin) as provider:
        make(provider, ROLE, name=group)
        assert now(provider, GRANT_ROLE, **inputs) is None
        make(provider, GRANT_ROLE, **inputs)
        assert now(provider, GRANT_ROLE, **inputs) == inputs
        provider.delete(GRANT_ROLE, "", inputs, {})
        assert rows(server.target(), MEMBERS, group) == []
        provider.delete(ROLE, group, {"name": group}, {})
