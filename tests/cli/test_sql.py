"""`chatdb sql`: a script that psql runs, with the same end as `apply`; and lyra's three ways to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import products
from infra.connection import Target, connect
from infra.migrations import snapshot
from tests.cli.conftest import Shell
from tests.support.documents import psql

Make = Callable[..., Target]
LEDGER = "SELECT sequence, version, name, checksum, direction, statements_total FROM chatdb.ledger ORDER BY sequence"


def shape(target: Target, name: str) -> dict[str, Any]:
    """Return the catalogue of what is a product's."""
    with connect(target) as connection:
        return snapshot.read_live(connection, products.load(name))


@pytest.mark.parametrize("name", products.names())
def test_the_script_run_by_psql_leads_where_apply_leads(
    name: str, product_database: Make, shell: Shell, tmp_path: Path
) -> None:
    """Equal catalogue, equal ledger; the tool then has nothing to do."""
    applied, scripted = product_database(name), product_database(name)
    shell.done(applied, "apply", "--product", name)
    file = tmp_path / "script.sql"
    assert shell.done(None, "sql", "--product", name, "--out", str(file)) == ""
    done = psql(scripted, str(file), file=True)
    assert (done.status, "ERROR" in done.errors) == (0, False), done.errors
    assert shape(scripted, name) == shape(applied, name)
    with connect(applied) as one, connect(scripted) as other:
        assert other.execute(LEDGER).fetchall() == one.execute(LEDGER).fetchall()
    assert "nothing to do" in shell.done(scripted, "apply", "--product", name)


def test_a_range_goes_on_from_a_version(product_database: Make, shell: Shell) -> None:
    """`--from` and `--to` choose the files; at another version the script refuses to run."""
    target = product_database("insights")
    shell.done(target, "apply", "--product", "insights", "--to", "2")
    script = shell.done(None, "sql", "--product", "insights", "--from", "0002", "--to", "0004")
    assert psql(target, script).status == 0
    assert shell.run(target, "status", "--product", "insights").stdout.startswith("insights is at 0004\n")
    again = psql(target, script)
    assert again.status == 3
    assert "goes on from version 0002, and the database is at another" in again.errors


def test_a_version_without_a_file_is_refused(shell: Shell) -> None:
    """Exit status 1, no half of a script."""
    done = shell.run(None, "sql", "--product", "lyra", "--to", "9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "cannot go to version 0009"


def test_a_file_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path) -> None:
    """The whole error."""
    file = tmp_path / "no" / "script.sql"
    done = shell.run(None, "sql", "--product", "lyra", "--out", str(file))
    assert done.returncode == 1
    assert done.stderr == (
        f"cannot write {file}\n"
        "DETAIL: No such file or directory\n"
        "HINT: Name a file in a folder that exists and may be written to.\n"
        "STATE: Nothing was changed.\n"
    )


def alone(target: Target, shell: Shell, _folder: Path) -> None:
    """This migration alone."""
    shell.done(target, "apply", "--product", "lyra", "--to", "0001")


def by_psql(target: Target, shell: Shell, folder: Path) -> None:
    """Its SQL through psql -f."""
    file = folder / "lyra.sql"
    shell.done(None, "sql", "--product", "lyra", "--to", "0001", "--plain", "--out", str(file))
    done = psql(target, str(file), file=True)
    assert done.status == 0, done.errors


def every(target: Target, shell: Shell, _folder: Path) -> None:
    """All migrations."""
    shell.done(target, "apply", "--product", "lyra")


@pytest.mark.parametrize("way", [alone, by_psql, every], ids=["alone", "psql -f", "all"])
def test_lyra_runs_in_its_three_ways_twice_with_the_same_end(
    way: Callable[[Target, Shell, Path], None], product_database: Make, shell: Shell, tmp_path: Path
) -> None:
    """The second time changes nothing; the table is the document's, whichever way was taken."""
    target = product_database("lyra")
    way(target, shell, tmp_path)
    once = shape(target, "lyra")
    way(target, shell, tmp_path)
    assert shape(target, "lyra") == once
    expected = snapshot.load(products.load("lyra"), 3 if way is every else 1)
    assert once == expected
    if way is by_psql:
        # It left no record: recorded, it is where the others are.
        shell.done(target, "baseline", "--product", "lyra")
    every(target, shell, tmp_path)
    assert shape(target, "lyra") == snapshot.load(products.load("lyra"), 3)
