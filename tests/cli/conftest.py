"""Fixtures of the command line's tests: a copy of the project, and commands that are told their database."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cli.access import connection_string
from infra.connection import Target
from tests.support.project import Project, copied_project


@dataclass(frozen=True)
class Shell:
    """Runs `chatdb` in a project without a stack.

    Attributes:
        project: The copy of the project.
    """

    project: Project

    def run(
        self, target: Target | None, *arguments: str, typed: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with DATABASE_URL naming the database, acting as the target's role."""
        named = {"DATABASE_URL": connection_string(target)} if target else {}
        owner = ("--owner", target.role) if target and target.role else ()
        return self.project.chatdb(*arguments, *owner, typed=typed, **{**named, **more})

    def done(self, target: Target | None, *arguments: str, **more: str) -> str:
        """Run a command, which must succeed, and return its standard output."""
        ran = self.run(target, *arguments, **more)
        assert ran.returncode == 0, f"{arguments}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout


@pytest.fixture(scope="session")
def shell() -> Iterator[Shell]:
    """Commands in one copy of the project, which no test changes."""
    with copied_project() as project:
        yield Shell(project)


@pytest.fixture
def own_shell() -> Iterator[Shell]:
    """Commands in a copy of the project that the test may change."""
    with copied_project() as project:
        yield Shell(project)
