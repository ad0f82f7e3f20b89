"""What the matrix says a role can do is what PostgreSQL lets it do, however it comes by it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from embedded.server import ServerFile
from infra.access import reading
from infra.access.matrix import PUBLIC, Access, Thing, effective, every_privilege
from infra.connection import connect
from tests.support.postgres import unique
from tests.support.standing import run

TABLE = Thing(kind="table", schema="kept", name="notes")
COLUMN = Thing(kind="column", schema="kept", name="notes.text")
SCHEMA = Thing(kind="schema", name="kept")
SEQUENCE = Thing(kind="sequence", schema="kept", name="numbers")
FUNCTION = Thing(kind="function", schema="kept", name="f(integer)")
VIEW = Thing(kind="view", schema="kept", name="seen")
LATER = Thing(kind="default", schema="kept", name="new tables of {owner}")

MADE = """
CREATE ROLE {owner}; CREATE ROLE {one} LOGIN; CREATE ROLE {two}; CREATE ROLE {three};
CREATE SCHEMA kept AUTHORIZATION {owner};
SET ROLE {owner};
CREATE TABLE kept.notes (id int, text text);
CREATE VIEW kept.seen AS SELECT id FROM kept.notes;
CREATE SEQUENCE kept.numbers;
CREATE FUNCTION kept.f(n integer) RETURNS int LANGUAGE sql AS 'SELECT n';
REVOKE EXECUTE ON FUNCTION kept.f(integer) FROM PUBLIC;
RESET ROLE;
"""


@contextmanager
def made(server: ServerFile) -> Iterator[tuple[psycopg.Connection[Any], dict[str, str]]]:
    """Give a session with an owner's objects and three other roles; all is undone at the end of the block."""
    names = {name: unique(name) for name in ("owner", "one", "two", "three")}
    with connect(server.target()) as connection, connection.transaction(force_rollback=True):
        run(connection, MADE.format(**names))
        yield connection, names


def cell(access: Access, role: str, thing: Thing, names: dict[str, str]) -> str:
    """Return what a role can do as people read it; what takes a SET ROLE in brackets."""
    named = Thing(kind=thing.kind, schema=thing.schema, name=thing.name.format(**names))
    held = effective(access, role).get(named, {})
    return " ".join(sorted(f"({p})" if source.how == "set role" else p for p, source in held.items()))


CASES = [
    pytest.param("", "owner", SEQUENCE, "SELECT UPDATE USAGE", id="an owner may do everything"),
    pytest.param("", "one", TABLE, "", id="nobody else anything"),
    pytest.param("REVOKE SELECT ON kept.numbers FROM {owner}", "owner", SEQUENCE, "UPDATE USAGE", id="owner revoked"),
    pytest.param("GRANT SELECT ON kept.notes TO {one}", "one", TABLE, "SELECT", id="a grant"),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {one} WITH GRANT OPTION", "one", TABLE, "SELECT SELECT*", id="a grant option"
    ),
    pytest.param("GRANT UPDATE ON kept.notes TO PUBLIC", "one", TABLE, "UPDATE", id="PUBLIC"),
    pytest.param("GRANT UPDATE ON kept.notes TO PUBLIC", PUBLIC, TABLE, "UPDATE", id="PUBLIC itself"),
    pytest.param("GRANT SELECT (text) ON kept.notes TO {one}", "one", COLUMN, "SELECT", id="a column"),
    pytest.param("GRANT SELECT (text) ON kept.notes TO {one}", "one", TABLE, "", id="a column is not its table"),
    pytest.param("GRANT SELECT (text) ON kept.notes TO PUBLIC", "two", COLUMN, "SELECT", id="a column for all"),
    pytest.param("GRANT EXECUTE ON FUNCTION kept.f TO {one}", "one", FUNCTION, "EXECUTE", id="a function"),
    pytest.param("GRANT SELECT ON kept.seen TO {one}", "one", VIEW, "SELECT", id="a view"),
    pytest.param("GRANT USAGE ON SCHEMA kept TO {one}", "one", SCHEMA, "USAGE", id="a schema"),
    pytest.param("GRANT SELECT ON kept.notes TO {two}; GRANT {two} TO {one}", "one", TABLE, "SELECT", id="a member"),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {three}; GRANT {three} TO {two}; GRANT {two} TO {one}",
        *("one", TABLE, "SELECT"),
        id="a member of a member",
    ),
    pytest.param("GRANT {owner} TO {one}", "one", SEQUENCE, "SELECT UPDATE USAGE", id="a member of the owner"),
    pytest.param("GRANT pg_read_all_data TO {one}", "one", TABLE, "SELECT", id="reads all data"),
    pytest.param("GRANT pg_write_all_data TO {one}", "one", TABLE, "DELETE INSERT UPDATE", id="writes all data"),
    pytest.param("GRANT pg_read_all_data TO {one}", "one", SCHEMA, "USAGE", id="enters all schemas"),
    pytest.param("ALTER ROLE {one} SUPERUSER", "one", SCHEMA, "CREATE USAGE", id="a superuser"),
    pytest.param(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA kept GRANT SELECT ON TABLES TO {one}",
        *("one", LATER, "SELECT"),
        id="by default later",
    ),
    pytest.param("GRANT {two} TO {one}", "one", Thing(kind="role", name="{two}"), "INHERIT SET", id="a membership"),
    pytest.param("", "one", Thing(kind="attributes", name="{one}"), "LOGIN", id="attributes"),
]
# The member's own attribute decides.
NOINHERIT = [
    pytest.param(
        "ALTER ROLE {one} NOINHERIT; GRANT SELECT ON kept.notes TO {two}; GRANT {two} TO {one}",
        *("one", TABLE, "(SELECT)"),
        id="a member that does not inherit",
    ),
    pytest.param(
        "ALTER ROLE {two} NOINHERIT; GRANT SELECT ON kept.notes TO {three};"
        "GRANT {three} TO {two}; GRANT {two} TO {one}",
        *("one", TABLE, "(SELECT)"),
        id="a member of a member that does not inherit",
    ),
]
# Each membership has options of its own.
OPTIONS = [
    pytest.param(
        "GRANT SELECT ON kept.notes TO {two}; GRANT {two} TO {one} WITH INHERIT FALSE",
        *("one", TABLE, "(SELECT)"),
        id="INHERIT FALSE",
    ),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {two}; GRANT {two} TO {one} WITH SET FALSE",
        *("one", TABLE, "SELECT"),
        id="SET FALSE",
    ),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {two}; GRANT {two} TO {one} WITH INHERIT FALSE, SET FALSE",
        *("one", TABLE, ""),
        id="neither",
    ),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {two}; GRANT {two} TO {one} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        *("one", Thing(kind="role", name="{two}"), "ADMIN"),
        id="ADMIN alone",
    ),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {three}; GRANT {three} TO {two} WITH INHERIT TRUE, SET FALSE;"
        "GRANT {two} TO {one} WITH INHERIT FALSE, SET TRUE",
        *("one", TABLE, "(SELECT)"),
        id="SET, then INHERIT",
    ),
    pytest.param(
        "GRANT SELECT ON kept.notes TO {three}; GRANT {three} TO {two} WITH INHERIT FALSE, SET TRUE;"
        "GRANT {two} TO {one} WITH INHERIT TRUE, SET FALSE",
        *("one", TABLE, ""),
        id="INHERIT, then SET",
    ),
    pytest.param("GRANT pg_maintain TO {one}", "one", TABLE, "MAINTAIN", id="maintains all"),
]


@pytest.mark.parametrize(("statements", "role", "thing", "expected"), [*CASES, *NOINHERIT, *OPTIONS])
def test_a_cell_says_what_the_role_can_do(
    server: ServerFile, statements: str, role: str, thing: Thing, expected: str
) -> None:
    """By grants of its own, PUBLIC, columns, memberships and their options, defaults, attributes."""
    with made(server) as (connection, names):
        run(connection, statements.format(**names) or "SELECT")
        access = reading.read(connection, owner=names["owner"])
        assert cell(access, names.get(role, role), thing, names) == expected


@pytest.mark.parametrize("major", [14, 15, 16, 17])
def test_cells_are_the_same_on_every_major(major: int, major_server: Callable[[int], ServerFile]) -> None:
    """Of the case table what the major knows."""
    server = major_server(major)
    known = [*CASES, *NOINHERIT, *(OPTIONS[:-1] if major >= 16 else ()), *(OPTIONS[-1:] if major >= 17 else ())]
    for case in known:
        statements, role, thing, expected = case.values
        with made(server) as (connection, names):
            run(connection, statements.format(**names) or "SELECT")
            access = reading.read(connection, owner=names["owner"])
            assert (case.id, cell(access, names.get(role, role), thing, names)) == (case.id, expected)


FORMS = {
    "table": "SELECT has_table_privilege(%s, %s::regclass, %s)",
    "view": "SELECT has_table_privilege(%s, %s::regclass, %s)",
    "sequence": "SELECT has_sequence_privilege(%s, %s::regclass, %s)",
    "schema": "SELECT has_schema_privilege(%s, %s, %s)",
    "function": "SELECT has_function_privilege(%s, %s::regprocedure, %s)",
}
ON = {
    "TABLE kept.notes": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"),
    "TABLE kept.seen": ("SELECT", "INSERT"),
    "SEQUENCE kept.numbers": ("SELECT", "UPDATE", "USAGE"),
    "SCHEMA kept": ("CREATE", "USAGE"),
    "FUNCTION kept.f(integer)": ("EXECUTE",),
}


def anything(chance: random.Random, names: dict[str, str], major: int) -> str:
    """Return a statement that gives or takes something, as anyone might have run it."""
    roles = list(names.values())
    if chance.random() < 0.3:
        role, member = chance.sample(roles[1:], 2) if chance.random() < 0.8 else (roles[0], chance.choice(roles[1:]))
        # In one direction only: a circle of memberships is refused.
        role, member = max(role, member), min(role, member)
        options = f" WITH INHERIT {chance.choice(['TRUE', 'FALSE'])}, SET {chance.choice(['TRUE', 'FALSE'])}"
        return f"GRANT {role} TO {member}{options if major >= 16 else ''}"
    if chance.random() < 0.15:
        given = ["GRANT pg_read_all_data TO {}", "GRANT pg_write_all_data TO {}", "ALTER ROLE {} NOINHERIT"]
        return chance.choice(given).format(chance.choice(roles[1:]))
    thing = chance.choice(list(ON))
    privilege, who = chance.choice(ON[thing]), chance.choice([*roles, "PUBLIC"])
    return chance.choice([f"GRANT {privilege} ON {thing} TO {who}"] * 3 + [f"REVOKE {privilege} ON {thing} FROM {who}"])


@pytest.mark.parametrize("major", [14, 16, 18])
def test_the_matrix_says_what_postgresql_says(major: int, major_server: Callable[[int], ServerFile]) -> None:
    """After random grants, revokes and memberships each cell equals has_…_privilege of every role; ten rounds."""
    server = major_server(major)
    for seed in range(10):
        chance = random.Random(seed)  # noqa: S311 - the same rounds every time
        with made(server) as (connection, names):
            for _ in range(25):
                run(connection, anything(chance, names, major))
            access = reading.read(connection, owner=names["owner"])
            computed, asked = {}, {}
            for role in names.values():
                held = effective(access, role)
                for thing in (TABLE, VIEW, SEQUENCE, SCHEMA, FUNCTION):
                    named = f"{thing.schema}.{thing.name}".lstrip(".")
                    for privilege in every_privilege(thing.kind, access.major):
                        key = (seed, role, named, privilege)
                        source = held.get(thing, {}).get(privilege)
                        computed[key] = source is not None and source.how != "set role"
                        row = connection.execute(FORMS[thing.kind].encode(), (role, named, privilege)).fetchone()
                        asked[key] = bool(row and row[0])
            assert computed == asked
