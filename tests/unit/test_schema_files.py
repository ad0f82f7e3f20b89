"""The files under schema/ keep the rules of CONTRIBUTING: a reason, what is locked, nothing that the linter finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra import products
from infra.migrations import directory

FILES = [
    pytest.param(file, id=f"{file.parent.parent.name}/{file.stem}")
    for file in sorted(products.SCHEMA_ROOT.glob("*/migrations/*.sql"))
]


@pytest.mark.parametrize("file", FILES)
def test_a_migration_says_why_and_what_it_locks_before_its_first_section(file: Path) -> None:
    head, _, _ = file.read_text(encoding="utf-8").partition("-- migrate:up")
    lines = head.strip().splitlines()
    assert lines[0].startswith("-- ")
    assert [line for line in lines if line.startswith("-- Locks: ")] != []


@pytest.mark.parametrize("file", FILES)
def test_the_linter_finds_nothing(file: Path) -> None:
    """Neither in the up section nor in the way back."""
    text = file.read_text(encoding="utf-8")
    command = [str(Path(sys.executable).parent / "squawk"), "--config", str(products.PROJECT_ROOT / ".squawk.toml")]
    if "migrate:up transaction:false" not in text:
        command.append("--assume-in-transaction")
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, "Found 0 issues" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize("name", products.names())
def test_each_product_has_all_its_files(name: str) -> None:
    product = products.load(name)
    assert product.stand_ins_file.exists()
    assert (product.folder / "schema.sql").exists()
    assert product.snapshots_folder.is_dir()
    assert directory.read(product.migrations_folder)[0].version == 1
    assert product.confirmation == product.confirmation.upper()
    assert product.prerequisites != ()
