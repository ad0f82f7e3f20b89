"""The policies: for each rule what breaks it, what does not, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from infra import products
from infra.migrations import directory, filename
from infra.policy.destruction import Approval, approval, destructive
from infra.policy.model import Resource, Stack
from infra.policy.rules import RULES, violations

DEV = Stack("dev")
PROD = Stack("prod", production=True)
ROLE, DATABASE, GRANT = (f"postgresql:index/{name}" for name in ("role:Role", "database:Database", "grant:Grant"))
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"
MEMBERSHIP = "postgresql:index/grantRole:GrantRole"
PROVIDER = "pulumi:providers:postgresql"
MIGRATIONS = "pulumi-python:dynamic/chatdb:Migrations"


def resource(type_: str, *, secret: frozenset[str] = frozenset(), protect: bool = False, **properties: Any) -> Resource:
    return Resource(type_, "it", properties, secret, protect)


def migration(up: str, *, head: str = "-- Locks: little.", pending: list[str] | None = None) -> Resource:
    text = f"{head}\n-- migrate:up\n{up}\n-- migrate:down\n"
    properties: dict[str, Any] = {
        "migrations": {"0001_it": text.split("\n")},
        "pending": ["0001_it"] if pending is None else pending,
    }
    return resource(MIGRATIONS, **properties)


BREAKS = [
    ("no-superuser-like-roles", DEV, resource(ROLE, superuser=True), "the role is SUPERUSER"),
    ("no-superuser-like-roles", DEV, resource(ROLE, createRole=True), "the role is CREATEROLE"),
    ("no-superuser-like-roles", DEV, resource(ROLE, createDatabase=True), "the role is CREATEDB"),
    ("no-superuser-like-roles", DEV, resource(ROLE, replication=True), "the role is REPLICATION"),
    ("no-superuser-like-roles", DEV, resource(ROLE, bypassRowLevelSecurity="true"), "the role is BYPASSRLS"),
    (
        "no-grant-to-public",
        DEV,
        resource(GRANT, role="public", objectType="table", privileges=["SELECT"]),
        "SELECT on table goes to PUBLIC",
    ),
    (
        "no-grant-to-public",
        DEV,
        resource(DEFAULTS, role="PUBLIC", objectType="function", privileges=["EXECUTE"]),
        "EXECUTE on function goes to PUBLIC",
    ),
    (
        "no-grant-to-public",
        DEV,
        resource(GRANT, role="public", objectType="schema", schema="chat", privileges=["USAGE"]),
        "USAGE on schema goes to PUBLIC",
    ),
    (
        "no-grant-to-public",
        DEV,
        resource(GRANT, role="public", objectType="schema", schema="public", privileges=["CREATE", "USAGE"]),
        "CREATE on schema goes to PUBLIC",
    ),
    ("no-grant-to-public", DEV, resource(MEMBERSHIP, role="public"), "everyone becomes a member"),
    ("protected-databases-in-production", PROD, resource(DATABASE), "the database is not protected"),
    (
        "protected-databases-in-production",
        PROD._replace(destroy_confirmation="DESTROY dev"),
        resource(DATABASE),
        "the database is not protected",
    ),
    (
        "tls-in-production",
        PROD,
        resource(PROVIDER, host="db.example.com", sslmode="prefer"),
        "it connects with sslmode prefer",
    ),
    (
        "tls-in-production",
        PROD,
        resource(MIGRATIONS, host="db.example.com", sslMode="disable"),
        "it connects with sslmode disable",
    ),
    (
        "verified-tls-in-production",
        PROD,
        resource(PROVIDER, host="db.example.com", sslmode="require"),
        "sslmode require does not check the server's name",
    ),
    ("secrets-are-secret", DEV, resource(ROLE, password="plain"), "password is not a secret"),
    ("secrets-are-secret", DEV, resource("other", adminPassword="plain"), "adminPassword is not a secret"),
    (
        "no-stand-ins-in-production",
        PROD,
        resource(MIGRATIONS, standIns=True),
        "stand-ins would be made for the application's tables",
    ),
    (
        "approved-destruction",
        DEV,
        migration("DROP TABLE a.b;"),
        "0001_it drops table a.b without an approval",
    ),
    (
        "approved-destruction",
        DEV,
        migration("DROP TABLE a.b;", head="-- approved: someone"),
        "0001_it drops table a.b without an approval",
    ),
]
HOLDS = [
    (DEV, resource(ROLE, login=True, superuser=False, password="verifier", secret=frozenset({"password"}))),
    (DEV, resource(GRANT, role="public", objectType="database", privileges=[])),
    (DEV, resource(GRANT, role="public", objectType="schema", schema="public", privileges=["USAGE"])),
    # As a refresh found it before PostgreSQL 15, where the administrator may not take it away.
    (
        DEV,
        resource(GRANT, role="public", objectType="schema", schema="public", privileges=["CREATE", "USAGE"])._replace(
            ignored=frozenset({"privileges"})
        ),
    ),
    (DEV, resource(GRANT, role="lyra_app", objectType="table", privileges=["SELECT"])),
    (DEV, resource(DATABASE)),
    (PROD, resource(DATABASE, protect=True)),
    (PROD._replace(destroy_confirmation="DESTROY prod"), resource(DATABASE)),
    (DEV, resource(PROVIDER, host="db.example.com", sslmode="disable")),
    (PROD, resource(PROVIDER, host="127.0.0.1", sslmode="disable")),
    (PROD, resource(PROVIDER, host="/run/postgresql", sslmode="disable")),
    (PROD, resource(PROVIDER, host="db.example.com", sslmode="verify-full")),
    (DEV, resource(MIGRATIONS, standIns=True)),
    (DEV, resource("other", password="")),
    (DEV, resource("other", adminSecret="arn:aws:secretsmanager:eu-west-1:1:secret:it", passwordLength=24)),
    (DEV, migration("DROP TABLE a.b;", head="-- approved: A. Person, moved to c in 0007")),
    (DEV, migration("DROP TABLE a.b;", pending=[])),
    (DEV, migration("DELETE FROM a.b WHERE c < 1;")),
    (DEV, migration("this is not SQL")),
]


@pytest.mark.parametrize(("rule", "stack", "broken", "what"), BREAKS)
def test_what_breaks_a_rule_is_named_with_its_reason_and_what_to_do(
    rule: str, stack: Stack, broken: Resource, what: str
) -> None:
    """One violation, in three parts."""
    (found,) = violations([broken], stack)
    assert (found.rule.name, found.finding.what) == (rule, what)
    assert str(found) == f"{rule}: it: {what}\n  DETAIL: {found.rule.reason}\n  HINT: {found.finding.hint}"


@pytest.mark.parametrize(("stack", "sound"), HOLDS)
def test_what_breaks_no_rule_is_passed_over(stack: Stack, sound: Resource) -> None:
    """Next to each of the above."""
    assert violations([sound], stack) == []


def test_every_rule_has_a_case() -> None:
    """So that none stands unproven."""
    assert {rule.name for rule in RULES} == {name for name, *_ in BREAKS}


def test_a_secret_is_not_judged_where_the_engine_does_not_tell() -> None:
    """A validation of the Pulumi CLI gets secrets in plain."""
    assert violations([Resource(ROLE, "it", {"password": "plain"}, None)], DEV) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DROP TABLE IF EXISTS a.b, c", ["drops table a.b", "drops table c"]),
        ("ALTER TABLE a.b ADD COLUMN y int, DROP COLUMN x", ["drops column a.b.x"]),
        ("TRUNCATE a.b, c CASCADE", ["empties table a.b", "empties table c"]),
        ("DELETE FROM a.b", ["deletes every row of a.b"]),
        ("DELETE FROM a.b WHERE true", ["deletes every row of a.b"]),
        ("WITH gone AS (DELETE FROM a.b RETURNING *) SELECT 1", ["deletes every row of a.b"]),
        ("DROP SCHEMA a; DROP SCHEMA a", ["drops schema a"]),
        ("DROP MATERIALIZED VIEW a.b", ["drops materialized view a.b"]),
        ("DROP SEQUENCE a.b", ["drops sequence a.b"]),
        ("DROP TYPE a.b", ["drops type a.b"]),
        ("DROP DATABASE a", ["drops database a"]),
        ("DROP OWNED BY a", ["drops whatever a role owns"]),
        (
            "DO $$ BEGIN IF true THEN DELETE FROM a.b; DROP TABLE c; END IF; END $$",
            ["deletes every row of a.b", "drops table c"],
        ),
        ("DROP INDEX a.b", []),
        ("DROP POLICY p ON a.b", []),
        ("UPDATE a.b SET c = 1", []),
        ("ALTER TABLE a.b DROP CONSTRAINT c", []),
        ("DO $$ BEGIN nonsense", []),
    ],
)
def test_what_a_statement_takes_away_is_read_by_the_parser(statement: str, found: list[str]) -> None:
    """Whole tables, columns, schemas, and rows without a WHERE."""
    text = f"-- migrate:up\n{statement};\n-- migrate:down\nDROP TABLE other;\n"
    assert destructive(filename.parse("0001_it.sql", text)) == found


def test_an_approval_stands_above_the_up_section() -> None:
    """Who and why; one further down is none."""
    head = "-- Reason.\n-- approved: A. Person, copied to c, see 0007\n-- migrate:up\nSELECT 1;\n-- migrate:down\n"
    late = "-- migrate:up\n-- approved: A. Person, why\nSELECT 1;\n-- migrate:down\n"
    assert approval(filename.parse("0001_it.sql", head)) == Approval("A. Person", "copied to c, see 0007")
    assert approval(filename.parse("0001_it.sql", late)) is None


def test_no_migration_of_the_products_takes_anything_away() -> None:
    """So none of them needs an approval."""
    files = [one for name in products.names() for one in directory.read(products.load(name).migrations_folder)]
    assert {one.name: destructive(one) for one in files if destructive(one)} == {}
