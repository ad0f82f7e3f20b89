"""`chatdb snapshot`: the stored snapshots are what the migrations make, or are made so."""

from __future__ import annotations

import json

from tests.cli.conftest import Shell


def test_the_snapshots_of_this_repository_are_what_the_migrations_make(shell: Shell) -> None:
    """Of every product and version."""
    assert shell.done(None, "snapshot", "--check").endswith(" snapshots are what the migrations make\n")


def test_what_differs_is_named_with_exit_status_2_and_then_written(own_shell: Shell) -> None:
    """A changed one, a missing one and one too many; `--check` writes nothing."""
    folder = own_shell.project.folder / "schema/robotics/snapshots"
    before = {file.name: file.read_text() for file in folder.iterdir()}
    (folder / "0002.json").write_text(before["0002.json"].replace("uuid", "text"))
    (folder / "0003.json").unlink()
    (folder / "0009.json").write_text("{}")
    done = own_shell.run(None, "snapshot", "--product", "robotics", "--check")
    assert done.returncode == 2
    assert done.stdout.splitlines()[:3] == [
        f"schema/robotics/snapshots/{name}.json: differs from what the migrations make"
        for name in ("0002", "0003", "0009")
    ]
    assert not (folder / "0003.json").exists()
    written = json.loads(own_shell.done(None, "snapshot", "--product", "robotics", "--json"))
    assert written == {"written": {"robotics": ["0002.json", "0003.json", "0009.json"]}}
    assert {file.name: file.read_text() for file in folder.iterdir()} == before


def test_a_migration_that_fails_is_an_error_in_our_words(own_shell: Shell) -> None:
    """Named product, the server's words; no snapshot is written."""
    folder = own_shell.project.folder / "schema/lyra"
    (folder / "migrations/0004_fails.sql").write_text("-- migrate:up\nSELECT 1 / 0;\n-- migrate:down\n")
    done = own_shell.run(None, "snapshot", "--product", "lyra")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "the migrations of lyra fail"
    assert "division by zero" in done.stderr
    assert not (folder / "snapshots/0004.json").exists()
