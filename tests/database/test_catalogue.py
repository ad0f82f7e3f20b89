"""The migrations make what their snapshots and schema.sql say, back and forth, on every supported PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from embedded.server import ServerFile
from infra import products
from infra.connection import Target, connect
from infra.migrations import catalogue, snapshot
from infra.migrations.comparison import differences
from tests.support.documents import NAMES, migrations, run_section
from tests.support.majors import MAJORS
from tests.support.postgres import product_database as make_product_database


@pytest.fixture(params=MAJORS)
def each_major(
    request: pytest.FixtureRequest, server: ServerFile, major_server: Callable[[int], ServerFile]
) -> ServerFile:
    """A server of each major, the embedded one for its own."""
    return server if request.param == 18 else major_server(request.param)


@contextlib.contextmanager
def scratch(server: ServerFile, name: str) -> Iterator[Target]:
    """A product's database with its prerequisites, as its owner."""
    with make_product_database(server, name) as target:
        yield target


@pytest.mark.parametrize("name", NAMES)
def test_snapshots_are_what_the_migrations_make(each_major: ServerFile, name: str) -> None:
    """On every major the same text: what a snapshot says does not depend on the server that made it."""
    product = products.load(name)
    with scratch(each_major, name) as target, connect(target) as connection:
        made = snapshot.generate(connection, product)
    assert list(made) == snapshot.versions(product)
    for version, live in made.items():
        stored = (product.snapshots_folder / f"{version:04d}.json").read_text(encoding="utf-8")
        assert snapshot.text(live) == stored


@pytest.mark.parametrize("name", NAMES)
def test_every_migration_can_be_undone_and_done_again(each_major: ServerFile, name: str) -> None:
    """Up, down and up again comes to an equal catalogue, each migration for itself and all together."""
    product = products.load(name)
    with scratch(each_major, name) as target, connect(target) as connection:
        before = snapshot.read_live(connection, product)
        shapes = [before]
        for migration in migrations(name):
            run_section(connection, migration, "up")
            after = snapshot.read_live(connection, product)
            assert after != shapes[-1]
            run_section(connection, migration, "down")
            assert snapshot.read_live(connection, product) == shapes[-1]
            run_section(connection, migration, "up")
            assert snapshot.read_live(connection, product) == after
            shapes.append(after)
        for migration, shape in zip(reversed(migrations(name)), reversed(shapes[:-1]), strict=True):
            run_section(connection, migration, "down")
            assert snapshot.read_live(connection, product) == shape
        assert snapshot.read_live(connection, product) == before


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_for_reading_is_what_the_migrations_make(each_major: ServerFile, name: str) -> None:
    product = products.load(name)
    with scratch(each_major, name) as target, connect(target) as connection:
        connection.execute((product.folder / "schema.sql").read_bytes())
        live = snapshot.read_live(connection, product)
    expected = snapshot.load(product, snapshot.newest(product))
    assert [str(difference) for difference in differences(expected, live)] == []
    assert live == expected


def test_an_exclusion_is_no_plain_index_and_what_is_computed_is_not_stored(database: Target) -> None:
    """The two would look the same by their index and their expression."""

    def shape() -> dict[str, object]:
        return catalogue.read(connection, schema="public", tables=["t"])

    with connect(database) as connection:
        connection.execute("CREATE TABLE t (id int, twice int GENERATED ALWAYS AS (2) STORED)")
        connection.execute("CREATE INDEX one ON t (id)")
        before = shape()
        connection.execute("DROP INDEX one; ALTER TABLE t ADD CONSTRAINT one EXCLUDE USING btree (id WITH =)")
        connection.execute("ALTER TABLE t DROP COLUMN twice, ADD COLUMN twice int GENERATED ALWAYS AS (2) VIRTUAL")
        assert [str(difference) for difference in differences(before, shape())] == [
            "column public.t.twice: computed when read is yes, expected none",
            "exclusion one on public.t is not expected",
        ]


@pytest.mark.parametrize("name", NAMES)
def test_stand_ins_may_be_made_twice_and_no_rights_are_granted(server: ServerFile, name: str) -> None:
    product = products.load(name)
    with scratch(server, name) as target, connect(target) as connection:
        connection.execute(product.stand_ins_file.read_bytes())
        granted = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relacl IS NOT NULL AND nspname IN ('public', 'auth')"
        ).fetchall()
    assert granted == []


@pytest.mark.parametrize("name", NAMES)
def test_every_foreign_key_has_an_index(server: ServerFile, name: str) -> None:
    """At the newest version an index begins with the columns of each foreign key, in any order."""
    product = products.load(name)
    with scratch(server, name) as target, connect(target) as connection:
        for migration in migrations(name):
            run_section(connection, migration, "up")
        bare = connection.execute(
            """
            SELECT c.conname FROM pg_constraint AS c
            WHERE c.contype = 'f' AND c.connamespace = %s::regnamespace AND NOT EXISTS (
                SELECT FROM pg_index AS i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
                AND (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey)
            """,
            [product.schema],
        ).fetchall()
    assert bare == []


def test_reading_leaves_the_search_path_as_it_was(database: Target) -> None:
    """Within the caller's transaction and outside one."""
    with connect(database) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        catalogue.read(connection, schema="public")
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog, public",)
        with connection.transaction():
            catalogue.read(connection, schema="public")
            assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog, public",)


def test_every_kind_of_object_is_read(database: Target) -> None:
    with connect(database) as connection:
        connection.execute(
            """
            CREATE SCHEMA s;
            COMMENT ON SCHEMA s IS 'of the test';
            CREATE TYPE s.mood AS ENUM ('glad', 'sad');
            CREATE DOMAIN s.share AS numeric(3, 2) NOT NULL CHECK (value <= 1);
            CREATE TYPE s.pair AS (a integer, b text);
            CREATE TABLE s.t (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                n serial,
                twice integer GENERATED ALWAYS AS (n * 2) STORED,
                label text COLLATE "C",
                feeling s.mood DEFAULT 'glad'
            ) WITH (fillfactor = 70);
            CREATE UNIQUE INDEX t_label ON s.t (lower(label)) WHERE label <> '';
            CREATE VIEW s.v AS SELECT id FROM s.t;
            CREATE FUNCTION s.f(a integer, b text DEFAULT 'x') RETURNS integer LANGUAGE sql IMMUTABLE STRICT
                SECURITY DEFINER SET search_path = '' BEGIN ATOMIC SELECT a; END;
            """
        )
        read = catalogue.read(connection, schema="s")
    assert read["schema"] == {"name": "s", "stands": True, "comment": "of the test"}
    table = read["tables"]["t"]
    assert table["options"] == ["fillfactor=70"]
    assert table["columns"]["id"] == {"type": "bigint", "identity": "always", "nullable": False}
    assert table["columns"]["twice"] == {"type": "integer", "generated": "(n * 2)", "nullable": True}
    assert table["columns"]["label"] == {"type": "text", "collation": "C", "nullable": True}
    assert table["columns"]["feeling"] == {"type": "s.mood", "default": "'glad'::s.mood", "nullable": True}
    assert table["indexes"]["t_label"] == {
        "definition": "CREATE UNIQUE INDEX t_label ON s.t USING btree (lower(label)) WHERE (label <> ''::text)",
        "unique": True,
        "valid": True,
    }
    assert list(read["views"]) == ["v"]
    assert {name: body["owned_by"] for name, body in read["sequences"].items()} == {
        "s.t_id_seq": "s.t.id",
        "s.t_n_seq": "s.t.n",
    }
    assert read["types"]["mood"]["labels"] == ["glad", "sad"]
    assert read["types"]["share"]["base"] == "numeric(3,2)"
    assert read["types"]["share"]["checks"] == ["CHECK ((VALUE <= (1)::numeric))"]
    assert read["types"]["pair"]["columns"] == ["a integer", "b text"]
    function = read["functions"]["s.f(integer,text)"]
    assert (function["volatility"], function["security"], function["strict"]) == ("immutable", "definer", True)
    assert function["settings"] == ['search_path=""']
    assert "SELECT a" in function["body"]


def test_a_scratch_database_that_is_in_use_is_refused(server: ServerFile) -> None:
    product = products.load("lyra")
    with scratch(server, "lyra") as target, connect(target) as connection:
        run_section(connection, migrations("lyra")[0], "up")
        with pytest.raises(snapshot.ScratchNotEmptyError):
            snapshot.generate(connection, product)


def test_a_version_without_a_snapshot_is_a_clear_error() -> None:
    with pytest.raises(snapshot.SnapshotMissingError) as caught:
        snapshot.load(products.load("lyra"), 99)
    assert caught.value.message == "lyra has no snapshot of version 0099"
    assert caught.value.detail == "schema/lyra/snapshots/0099.json: FileNotFoundError; there are: 0001, 0002, 0003"
