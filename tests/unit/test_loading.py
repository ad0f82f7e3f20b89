"""What the command line loads before it acts, each in a Python of its own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from importlib.machinery import PathFinder

import pytest

from cli import loading
from infra.products import PROJECT_ROOT


def printed(code: str) -> str:
    """Return what a fresh Python prints."""
    line = [sys.executable, "-c", code]
    return subprocess.run(line, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_psycopg_says_the_version_that_its_metadata_says() -> None:
    told = printed(
        "import cli.__main__, psycopg, psycopg_binary; print(psycopg.__version__, psycopg_binary.__version__)"
    )
    assert told.split() == [importlib.metadata.version(package) for package in ("psycopg", "psycopg-binary")]


@pytest.mark.parametrize("heavy", ["importlib.metadata", "email", "boto3", "pydantic", "pulumi", "rich"])
def test_applying_loads_nothing_that_it_does_not_need(heavy: str) -> None:
    assert printed(f"import sys, cli.__main__, cli.migrations; print({heavy!r} in sys.modules)") == "False"


def test_without_the_folder_of_its_metadata_psycopg_is_left_to_look_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PathFinder, "find_spec", lambda _name: None)
    assert loading._installed() == {}
