"""What the embedded provider refuses before it connects, and how it names it."""

from __future__ import annotations

from typing import Any

import pytest

from embedded.engine.postgresql import PostgresqlProvider, check_config
from embedded.engine.provider import Failure
from embedded.engine.values import UNKNOWN
from infra.errors import ChatdbError
from tests.support.provider import DATABASE, DEFAULT_PRIVILEGES, GRANT, GRANT_ROLE, ROLE, SCHEMA

TABLE_GRANT = {"database": "d", "role": "r", "schema": "s", "objectType": "table", "privileges": ["SELECT"]}


def without(key: str) -> dict[str, Any]:
    """Return the inputs of a grant on a table that lack one."""
    return {name: value for name, value in TABLE_GRANT.items() if name != key}


NOT_DONE = "the embedded engine does not do this property; use the Pulumi CLI"


@pytest.fixture
def unconnected() -> PostgresqlProvider:
    """A provider of a server that does not exist: nothing here connects."""
    return PostgresqlProvider({"host": "no.such.host.invalid", "port": "1", "password": "x"})


@pytest.mark.parametrize(
    ("type_", "inputs", "failure"),
    [
        pytest.param(ROLE, {"name": "r", "passwordWo": "x"}, Failure("passwordWo", NOT_DONE), id="write-only password"),
        pytest.param(ROLE, {"name": "r", "colour": "x"}, Failure("colour", NOT_DONE), id="unknown property"),
        pytest.param(
            DATABASE, {"name": "d", "tablespaceName": "t"}, Failure("tablespaceName", NOT_DONE), id="tablespace"
        ),
        pytest.param(SCHEMA, {"name": "s", "policies": []}, Failure("policies", NOT_DONE), id="deprecated policies"),
        pytest.param(ROLE, {}, Failure("name", "it must be given"), id="no name"),
        pytest.param(ROLE, {"name": 5}, Failure("name", "it must be of type str"), id="number as name"),
        pytest.param(
            ROLE, {"name": "r", "login": "yes"}, Failure("login", "it must be of type bool"), id="text as boolean"
        ),
        pytest.param(
            ROLE,
            {"name": "r", "connectionLimit": True},
            Failure("connectionLimit", "it must be of type int"),
            id="bool",
        ),
        pytest.param(
            ROLE, {"name": "r", "connectionLimit": -2}, Failure("connectionLimit", "it must be -1 or more"), id="-2"
        ),
        pytest.param(ROLE, {"name": "r", "roles": "a"}, Failure("roles", "it must be a list"), id="text as list"),
        pytest.param(GRANT, without("role"), Failure("role", "it must be given"), id="a grant to nobody"),
        pytest.param(
            GRANT,
            TABLE_GRANT | {"objectType": "routine"},
            Failure(
                "objectType",
                "'routine' is none of database, schema, table, sequence, function; use the Pulumi CLI for it",
            ),
            id="a kind that is not done",
        ),
        pytest.param(
            GRANT,
            TABLE_GRANT | {"objectType": "sequence", "privileges": ["DELETE"]},
            Failure("privileges", "'DELETE' is not one of ALL, USAGE, SELECT, UPDATE"),
            id="another kind's privilege",
        ),
        pytest.param(
            GRANT,
            TABLE_GRANT | {"privileges": ["SELECT; DROP TABLE chat"]},
            Failure(
                "privileges",
                "'SELECT; DROP TABLE chat' is not one of "
                "ALL, SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN",
            ),
            id="SQL as privilege",
        ),
        pytest.param(
            GRANT,
            without("schema"),
            Failure("schema", "it must be given for a grant on a table"),
            id="no schema",
        ),
        pytest.param(
            GRANT,
            TABLE_GRANT | {"objectType": "schema", "privileges": ["USAGE"], "objects": ["a"]},
            Failure("objects", "the embedded engine names tables and sequences alone; leave it out"),
            id="objects of a schema grant",
        ),
        pytest.param(
            DEFAULT_PRIVILEGES,
            TABLE_GRANT | {"owner": "o", "objectType": "schema", "privileges": ["USAGE"]},
            Failure("objectType", "'schema' is none of table, sequence, function; use the Pulumi CLI for it"),
            id="default privileges of a kind that is not done",
        ),
    ],
)
def test_a_mistake_is_named_with_its_property(
    unconnected: PostgresqlProvider, type_: str, inputs: dict[str, Any], failure: Failure
) -> None:
    assert unconnected.check(type_, {}, inputs)[1] == [failure]


@pytest.mark.parametrize("type_", [ROLE, GRANT_ROLE, DATABASE, SCHEMA, GRANT, DEFAULT_PRIVILEGES])
def test_all_that_is_missing_is_reported_at_once(unconnected: PostgresqlProvider, type_: str) -> None:
    required = {
        ROLE: ["name"],
        GRANT_ROLE: ["role", "grantRole"],
        DATABASE: ["name"],
        SCHEMA: ["name"],
        GRANT: ["database", "role", "privileges", "objectType"],
        DEFAULT_PRIVILEGES: ["database", "role", "privileges", "objectType", "owner"],
    }
    failures = unconnected.check(type_, {}, {})[1]
    assert failures == [Failure(name, "it must be given") for name in required[type_]]


@pytest.mark.parametrize("value", [UNKNOWN, [UNKNOWN]], ids=["unknown", "a list with an unknown"])
def test_what_is_not_known_yet_passes_and_is_a_change(unconnected: PostgresqlProvider, value: object) -> None:
    """In a preview an output of a resource to be made stands there."""
    news = {**TABLE_GRANT, "privileges": value}
    assert unconnected.check(GRANT, {}, news) == (news, [])
    assert unconnected.diff(GRANT, "", TABLE_GRANT, {}, news).changed == ("privileges",)


def test_defaults_that_the_official_plugin_wrote_are_no_difference(unconnected: PostgresqlProvider) -> None:
    """A stack that comes from the Pulumi CLI has them among its inputs."""
    old = {
        "__defaults": ["connectionLimit", "encryptedPassword", "inherit", "validUntil"],
        "name": "r",
        "connectionLimit": -1,
        "encryptedPassword": True,
        "inherit": True,
        "validUntil": "infinity",
    }
    assert unconnected.diff(ROLE, "r", old, {}, {"name": "r"}).changed == ()


def test_a_type_that_is_not_done_is_refused_by_name(unconnected: PostgresqlProvider) -> None:
    with pytest.raises(
        ChatdbError, match="type postgresql:index/extension:Extension is not done by the embedded engine"
    ):
        unconnected.check("postgresql:index/extension:Extension", {}, {})


@pytest.mark.parametrize(
    ("config", "properties"),
    [
        pytest.param({"host": "h", "port": "5432", "superuser": "false", "version": "3.18.2"}, [], id="plain"),
        pytest.param({"azureIdentityAuth": "true"}, ["azureIdentityAuth"], id="cloud identity"),
        pytest.param({"port": "many"}, ["port"], id="port in words"),
        pytest.param({"port": UNKNOWN}, [], id="port not known yet"),
    ],
)
def test_a_provider_resources_mistakes_are_named(config: dict[str, Any], properties: list[str]) -> None:
    assert [failure.property for failure in check_config(config)] == properties
