"""The commands that the README and the pages of docs/ show, and a project in which they run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from infra.products import PROJECT_ROOT
from tests.support.project import Project, copied_project

PAGES = sorted([PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *(PROJECT_ROOT / "docs").glob("*.md")])


class Shown(NamedTuple):
    """One command: its text, over several lines where it holds a here-document, and the comment beside it."""

    command: str
    comment: str


def shown(page: Path) -> list[Shown]:
    """Return the commands in the console blocks of a page, in their order."""
    found: list[Shown] = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        lines = iter(block.splitlines())
        for line in lines:
            text, _, comment = line.partition("   #")
            if not text.strip():
                continue
            command = text.strip()
            if document := re.search(r"<<'(\w+)'", line):
                for more in lines:
                    command += f"\n{more}"
                    if more == document[1]:
                        break
            found.append(Shown(command, comment.strip()))
    return found


@contextmanager
def made_project() -> Iterator[Project]:
    """Give a copy of the project with its Makefile; the environment is installed already."""
    with copied_project() as project:
        for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
            shutil.copy2(PROJECT_ROOT / name, project.folder / name)
        yield project


def run(project: Project, command: str, *, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would type it, in the project's folder, to its end."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=project.folder,
        env=project.variables(**variables),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
