"""Backups without a server: what is compared, what a manifest says, which programs fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.backup import comparison, manifest, programs
from infra.backup.errors import BackupError, UnreadableManifestError
from infra.backup.manifest import Contents, Manifest
from infra.migrations import catalogue
from infra.migrations.comparison import differences

HELD = Contents(
    version="0002",
    digest="sha256:1",
    ledger_hash="aa",
    ledger_rows=2,
    ledger_sound=True,
    rows={"public.chats": 1},
    sums={"public.chats": "17"},
    catalogue={"public": catalogue.empty("public")},
    sequences={"public.numbers": 7},
    access=(("lyra_app", "CONNECT", "the database"), ("lyra_owner", "owns", "table public.chats")),
)
MANIFEST = Manifest(
    name="2026-11-24T192439Z-3f9a1c2d",
    product="lyra",
    stack="prod",
    database="lyra",
    server="db.example.com:5432",
    server_version="16.4",
    owner="lyra_owner",
    tool="pg_dump (PostgreSQL) 18.1",
    tool_version="0.1.0",
    taken_at="2026-11-24T19:24:39+00:00",
    proven_at="2026-11-24T19:25:00+00:00",
    proven_on="a scratch database on the same server",
    bytes=9,
    sha256="ab",
    contents=HELD,
)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    """Every field of it, tuples too."""
    assert manifest.parse(MANIFEST.text(), place="x") == MANIFEST
    assert MANIFEST.contents.roles == ["lyra_app", "lyra_owner"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', MANIFEST.text().replace('"rows"', '"rovs"')])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    """With its place, never with a traceback."""
    with pytest.raises(UnreadableManifestError, match="the manifest of the backup x cannot be read"):
        manifest.parse(text, place="x")


LOST = {
    "rows": ({"rows": {"public.chats": 0}}, "public.chats has 0 rows, expected 1 row"),
    "a table": ({"rows": {}}, "public.chats has no table, expected 1 row"),
    "a value": ({"sums": {"public.chats": "18"}}, "public.chats has 1 row as expected, but not the same ones"),
    "a ledger row": ({"ledger_rows": 1}, "the ledger is at 0002, expected that of 0002"),
    "the chain": ({"ledger_sound": False}, "the ledger's chain is broken"),
    "a number": ({"sequences": {"public.numbers": 6}}, "the sequence public.numbers is at 6, expected 7 at least"),
    "every number": ({"sequences": {}}, "the sequence public.numbers is at its start, expected 7 at least"),
    "a schema": ({"catalogue": {}}, "schema public is missing"),
    "an owner": ({"access": HELD.access[:1]}, "lost: lyra_owner owns table public.chats"),
    "a right": ({"access": HELD.access[1:]}, "lost: CONNECT on the database for lyra_app"),
    "nothing but a right more": (
        {"access": (*HELD.access, ("PUBLIC", "TEMP", "the database"))},
        "not expected: TEMP on the database for PUBLIC",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), LOST.values(), ids=LOST)
def test_each_loss_is_one_sentence(change: dict[str, object], sentence: str) -> None:
    """What is equal is silent."""
    assert comparison.differences(HELD, HELD) == []
    assert comparison.differences(HELD, replace(HELD, **change)) == [sentence]  # type: ignore[arg-type]


def test_a_sequence_that_went_on_while_it_was_dumped_is_no_difference() -> None:
    """No snapshot holds it back."""
    assert comparison.differences(HELD, replace(HELD, sequences={"public.numbers": 8, "public.more": 1})) == []


def test_a_check_that_went_through_a_dump_is_the_same_check() -> None:
    """PostgreSQL writes the casts of a list of varchar otherwise once pg_dump's text was read in again."""
    column = {"type": "character varying(10)", "nullable": True}
    table = {"kind": "table", "columns": {"s": column}, "indexes": {}, "policies": {}, "triggers": {}}

    def shape(definition: str) -> dict[str, object]:
        check = {"kind": "check", "definition": definition, "validated": True}
        return {**catalogue.empty("public"), "tables": {"t": {**table, "constraints": {"c": check}}}}

    before = "CHECK (((s)::text = ANY ((ARRAY['a, b'::character varying, 'it''s'::character varying])::text[])))"
    after = "CHECK (((s)::text = ANY (ARRAY[('a, b'::character varying)::text, ('it''s'::character varying)::text])))"
    assert differences(shape(before), shape(after)) == []
    assert len(differences(shape(before), shape(after.replace("a, b", "a")))) == 1


def test_the_first_programs_that_are_not_older_than_the_server_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the package, then those of PATH; where none fits, each is named with its version."""
    monkeypatch.setenv("PATH", str(tmp_path / "17"))
    with pytest.raises(BackupError, match="pg_dump and pg_restore are not installed"):
        programs.find(16, [tmp_path / "18"])
    for major in (16, 17):
        (tmp_path / str(major)).mkdir()
        for name in ("pg_dump", "pg_restore"):
            (tmp_path / str(major) / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.4'\n")
            (tmp_path / str(major) / name).chmod(0o755)
    assert programs.find(16, [tmp_path / "16"]).version == "pg_dump (PostgreSQL) 16.4"
    assert programs.find(17, [tmp_path / "16"]).dump == tmp_path / "17/pg_dump"
    with pytest.raises(BackupError, match="pg_dump is older than the server, which is PostgreSQL 18") as raised:
        programs.find(18, [tmp_path / "16"])
    assert f"{tmp_path}/17/pg_dump is pg_dump (PostgreSQL) 17.4" in raised.value.detail
