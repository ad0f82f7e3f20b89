"""What must be so before a first migration: prerequisites, rights, and nothing in the way."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from infra import products
from infra.connection import Target, connect
from infra.migrations import catalogue, preflight, runner, snapshot
from tests.support.documents import NAMES, migrate, migrations, run_section

PREREQUISITES = [
    pytest.param("lyra", "SELECT", "PrerequisiteMissingError", "42P01", id="no table"),
    pytest.param("futureguide", "SELECT", "PrerequisiteMissingError", "3F000", id="no schema"),
    pytest.param(
        "lyra", "CREATE TABLE users (key uuid PRIMARY KEY)", "PrerequisiteMissingError", "42703", id="no key column"
    ),
    pytest.param("lyra", "CREATE TABLE users (id text PRIMARY KEY)", "PrerequisiteTypeError", "42804", id="text key"),
    pytest.param(
        "storefront", "CREATE TABLE users (id uuid PRIMARY KEY)", "PrerequisiteTypeError", "42804", id="uuid key"
    ),
    pytest.param("lyra", "CREATE TABLE users (id uuid)", "PrerequisiteTypeError", "42830", id="key not unique"),
    pytest.param(
        "lyra",
        "CREATE TABLE users (id uuid, tenant uuid, PRIMARY KEY (id, tenant))",
        "PrerequisiteTypeError",
        "42830",
        id="key of two columns",
    ),
    pytest.param(
        "lyra", "CREATE VIEW users AS SELECT gen_random_uuid() AS id", "PrerequisiteTypeError", "42809", id="a view"
    ),
]
GOOD_KEYS = [
    pytest.param("lyra", "CREATE TABLE users (id uuid UNIQUE)", id="unique key"),
    pytest.param("storefront", "CREATE TABLE users (id varchar(36) PRIMARY KEY)", id="varchar where text is wanted"),
    pytest.param("lyra", "CREATE DOMAIN key AS uuid; CREATE TABLE users (id key PRIMARY KEY)", id="domain of the type"),
    pytest.param(
        "lyra",
        "CREATE TABLE users (id uuid PRIMARY KEY) PARTITION BY HASH (id)",
        id="partitioned table",
    ),
]


@pytest.mark.parametrize(("name", "prepare", "error", "sqlstate"), PREREQUISITES)
def test_a_prerequisite_that_will_not_do_is_named_before_anything_runs(
    product_database: Callable[..., Target], name: str, prepare: str, error: str, sqlstate: str
) -> None:
    target, product = product_database(name, stand_ins=False), products.load(name)
    with connect(target) as connection:
        connection.execute(prepare.encode())
        with pytest.raises(preflight.PrerequisiteError) as caught:
            preflight.check_prerequisites(connection, product)
    assert (type(caught.value).__name__, caught.value.sqlstate) == (error, sqlstate)
    assert caught.value.hint != ""
    assert ("--stand-ins" in caught.value.hint) == (sqlstate in ("3F000", "42P01"))  # they mend no table that stands
    assert caught.value.state == "Nothing was changed."


@pytest.mark.parametrize(("name", "prepare"), GOOD_KEYS)
def test_every_key_that_postgresql_takes_is_taken(
    product_database: Callable[..., Target], name: str, prepare: str
) -> None:
    target = product_database(name, stand_ins=False)
    with connect(target) as connection:
        connection.execute(prepare.encode())
    assert migrate(target, name, to=1).version == 1


def test_a_login_that_has_names_and_values_written_otherwise_finds_the_same(
    product_database: Callable[..., Target],
) -> None:
    """Names come back in quotes, dates in another order, for such a login alone."""
    target, product = product_database("storefront"), products.load("storefront")
    odd = {"quote_all_identifiers": "on", "DateStyle": "SQL, DMY", "TimeZone": "Asia/Kolkata", "bytea_output": "escape"}
    with connect(target) as connection:
        for name, value in odd.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        preflight.check_prerequisites(connection, product)
        connection.execute(
            "CREATE TABLE odd (text varchar(3) DEFAULT 'a', at timestamptz DEFAULT '2026-11-26 01:00+00', raw bytea "
            "DEFAULT '\\x00ff')"
        )
        found = catalogue.read(connection, schema="public", tables=["odd"])
        kept = {name: connection.execute("SELECT current_setting(%s)", (name,)).fetchone() for name in odd}
    with connect(target) as plain:
        assert catalogue.read(plain, schema="public", tables=["odd"]) == found
    assert kept == {name: (value,) for name, value in odd.items()}


def test_every_prerequisite_that_will_not_do_is_named_at_once(product_database: Callable[..., Target]) -> None:
    """Three tables, three grants: nobody should have to come back for the next one."""
    target, product = product_database("insights", stand_ins=False), products.load("insights")
    with connect(target.to(role="")) as superuser, connect(target) as owner:
        with pytest.raises(preflight.PrerequisiteMissingError) as missing:
            preflight.check_prerequisites(owner, product)
        superuser.execute(product.stand_ins_file.read_bytes())
        with pytest.raises(preflight.PrerequisitePrivilegeError) as refused:
            preflight.check_prerequisites(owner, product)
        tables = ("public.agents", "public.users", "public.accounts")
        assert missing.value.message == "; ".join(f"the table {table} does not exist" for table in tables)
        assert missing.value.hint.count("Run the application's own migrations first") == 1
        superuser.execute("; ".join(re.findall("GRANT [^;]*", refused.value.hint)).encode())
        preflight.check_prerequisites(owner, product)


def test_a_table_of_the_applications_needs_two_grants(product_database: Callable[..., Target]) -> None:
    """The application's role owns auth.users; the product's owner may point to it once it is let."""
    target, product = product_database("futureguide", stand_ins=False), products.load("futureguide")
    with connect(target.to(role="")) as superuser, connect(target) as owner:
        superuser.execute("CREATE SCHEMA auth CREATE TABLE auth.users (id uuid PRIMARY KEY)")
        with pytest.raises(preflight.PrerequisitePrivilegeError) as caught:
            preflight.check_prerequisites(owner, product)
        assert caught.value.sqlstate == "42501"
        grants = caught.value.hint.partition(": ")[2]
        assert grants == (
            f"GRANT USAGE ON SCHEMA auth TO {target.role}; GRANT REFERENCES (id) ON auth.users TO {target.role};"
        )
        superuser.execute(grants.encode())
    assert migrate(target, "futureguide").version == 3


@pytest.mark.parametrize("name", NAMES)
def test_stand_ins_are_made_where_tables_are_missing(product_database: Callable[..., Target], name: str) -> None:
    target, product = product_database(name, stand_ins=False), products.load(name)
    with connect(target) as connection:
        for _ in range(2):
            preflight.make_stand_ins(connection, product)
        preflight.check_prerequisites(connection, product)
        assert preflight.prepare(connection, product, stand_ins=True) is None


def test_stand_ins_leave_the_applications_own_table_as_it_is(product_database: Callable[..., Target]) -> None:
    target, product = product_database("lyra", stand_ins=False), products.load("lyra")
    with connect(target) as connection:
        connection.execute("CREATE TABLE users (id uuid PRIMARY KEY, name text)")
        connection.execute("INSERT INTO users VALUES (gen_random_uuid(), 'ada')")
        preflight.make_stand_ins(connection, product)
        assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]


@pytest.mark.parametrize("name", NAMES)
def test_an_equal_shape_is_adopted_when_asked_at_whatever_version_it_is(
    product_database: Callable[..., Target], name: str
) -> None:
    target, product = product_database(name), products.load(name)
    for migration in migrations(name):
        with connect(target) as connection:
            run_section(connection, migration, "up")
            with pytest.raises(preflight.TableInTheWayError) as caught:
                preflight.table_in_the_way(connection, product)
            assert f"that of version {migration.label}" in caught.value.detail
            assert f"chatdb baseline --product {name}" in caught.value.hint
            assert preflight.table_in_the_way(connection, product, adopt=True) == migration.version


def test_adopting_goes_on_from_the_version_that_stands(product_database: Callable[..., Target]) -> None:
    target = product_database("robotics")
    with connect(target) as connection:
        run_section(connection, migrations("robotics")[0], "up")
        connection.execute(
            "INSERT INTO users (name, email, hashed_password) VALUES ('a', 'a@b.c', 'x');"
            " INSERT INTO chats (user_id, query, response) SELECT id, 'q', 'a' FROM users"
        )
    done = migrate(target, "robotics", adopt=True)
    assert (done.baselined, done.version) == (("0001_create_chats",), 4)
    with connect(target) as connection:
        assert connection.execute("SELECT query FROM chats").fetchall() == [("q",)]


@pytest.mark.parametrize("name", NAMES)
def test_what_belongs_to_another_is_adopted_only_once_it_belongs_to_the_owner(
    product_database: Callable[..., Target], name: str
) -> None:
    """The statements that are named do it."""
    target, product = product_database(name), products.load(name)
    owner = f"adopter_{name}"
    with connect(target) as connection:
        run_section(connection, migrations(name)[0], "up")
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        connection.execute(
            f"RESET ROLE; CREATE ROLE {owner}; GRANT USAGE ON SCHEMA {product.schema} TO {owner}".encode()
        )
        connection.execute(f"SET ROLE {owner}".encode())
        with pytest.raises(preflight.TableInTheWayError, match=f"it belongs to {target.role}") as caught:
            preflight.table_in_the_way(connection, product, adopt=True)
        assert "other tools were here: Alembic" in caught.value.detail
        connection.execute("RESET ROLE")
        statements = [
            part for part in re.split(r"(?<=;) ", caught.value.hint.partition(": ")[2]) if part[:5] == "ALTER"
        ]
        for statement in statements:
            connection.execute(statement.encode())
        assert len(statements) >= len(snapshot.load(product, 1)["tables"])
        connection.execute(f"SET ROLE {owner}".encode())
        assert preflight.table_in_the_way(connection, product, adopt=True) == 1
        connection.execute(f"RESET ROLE; REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}".encode())
        connection.execute(f"DROP ROLE {owner}".encode())


@pytest.mark.parametrize("adopt", [False, True])
def test_another_shape_in_the_way_is_refused_with_each_difference(
    product_database: Callable[..., Target], *, adopt: bool
) -> None:
    target = product_database("robotics")
    with connect(target) as connection:
        connection.execute("CREATE TABLE chats (id serial PRIMARY KEY, query text NOT NULL)")
    with pytest.raises(preflight.TableInTheWayError) as caught:
        migrate(target, "robotics", adopt=adopt)
    assert caught.value.sqlstate == "42P07"
    assert caught.value.message == "public.chats stands already in another shape than robotics has"
    assert [difference.sentence for difference in caught.value.differences] == [
        "column public.chats.id: type is integer, expected uuid",
        "column public.chats.id: default is nextval('public.chats_id_seq'::regclass), expected gen_random_uuid()",
        "column public.chats.user_id is missing",
        "column public.chats.response is missing",
        "column public.chats.metadata is missing",
        "column public.chats.created_at is missing",
        "foreign key chats_user_id_fkey on public.chats is missing",
        "index idx_chats_created_at on public.chats is missing",
        "index idx_chats_user_id on public.chats is missing",
        "sequence public.chats_id_seq is not expected",
    ]
    for difference in caught.value.differences:
        assert difference.sentence in str(caught.value)
    assert runner.status(target, migrations("robotics")).version == 0


def test_another_products_table_is_told_whose_it_is(product_database: Callable[..., Target]) -> None:
    target = product_database("insights")
    migrate(target, "insights")
    with connect(target) as connection, pytest.raises(preflight.TableInTheWayError) as caught:
        preflight.table_in_the_way(connection, products.load("robotics"), adopt=True)
    assert "its columns are those of insights" in caught.value.detail
    assert "column public.chats.query is missing" in caught.value.detail


def test_part_of_a_product_is_another_shape(product_database: Callable[..., Target]) -> None:
    target = product_database("storefront")
    with connect(target) as connection:
        run_section(connection, migrations("storefront")[0], "up")
        connection.execute("DROP TABLE chat_analytics")
        with pytest.raises(preflight.TableInTheWayError) as caught:
            preflight.table_in_the_way(connection, products.load("storefront"), adopt=True)
    assert [difference.sentence for difference in caught.value.differences] == [
        "table public.chat_analytics is missing"
    ]


def test_comments_alone_are_told_apart(product_database: Callable[..., Target]) -> None:
    target = product_database("lyra")
    with connect(target) as connection:
        run_section(connection, migrations("lyra")[0], "up")
        connection.execute("COMMENT ON TABLE chat_messages IS 'Messages'")
        with pytest.raises(preflight.TableInTheWayError) as caught:
            preflight.table_in_the_way(connection, products.load("lyra"), adopt=True)
    assert caught.value.hint.startswith("Only comments differ")


def test_nothing_is_in_the_way_of_a_schema_that_the_stack_made(product_database: Callable[..., Target]) -> None:
    target, product = product_database("futureguide"), products.load("futureguide")
    with connect(target) as connection:
        connection.execute("CREATE SCHEMA chat")
        assert preflight.table_in_the_way(connection, product) is None
        connection.execute("CREATE FUNCTION chat.other() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
        with pytest.raises(preflight.TableInTheWayError, match="the schema chat stands already"):
            preflight.table_in_the_way(connection, product)


def test_another_tools_ledger_is_named_as_evidence(product_database: Callable[..., Target]) -> None:
    """One reaches the message; that each tool's kind is recognised is a test of its own, in test_runner_baseline."""
    target, product = product_database("insights"), products.load("insights")
    with connect(target) as connection:
        connection.execute((product.folder / "schema.sql").read_bytes())
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('779affdda697')")
        with pytest.raises(preflight.TableInTheWayError) as caught:
            preflight.table_in_the_way(connection, product)
    assert "; other tools were here: Alembic at 779affdda697 (public.alembic_version, 1 row)" in caught.value.detail


def test_the_newest_snapshot_has_the_number_of_the_newest_migration() -> None:
    for name in NAMES:
        assert snapshot.newest(products.load(name)) == migrations(name)[-1].version
