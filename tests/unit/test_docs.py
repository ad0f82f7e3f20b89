"""The pages of docs/: every command, setting and link in them is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cli import parser
from infra.products import PROJECT_ROOT
from infra.settings import StackSettings
from tests.support.documentation import PAGES, shown

KEYS = {field.alias or name for name, field in StackSettings.model_fields.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_the_command_line_takes(page: Path) -> None:
    """With each of its options."""
    for one in shown(page):
        words = shlex.split(one.command.partition(">")[0])
        if words[0] == ".venv/bin/chatdb":
            parser.parse(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_is_one_that_there_is(page: Path) -> None:
    """As `chatdb:key`."""
    named = set(re.findall(r"\bchatdb:(?!index)([A-Za-z]+)", page.read_text(encoding="utf-8"))) - {"KEY"}
    assert named <= KEYS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    """From the page's own folder."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page() -> None:
    """So that none is found by chance only."""
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in (PROJECT_ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in text] == []
