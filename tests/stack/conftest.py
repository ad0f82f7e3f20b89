"""Fixtures of whole runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedded.server import ServerFile
from tests.support.postgres import running_server
from tests.support.project import Project, copied_project


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A copy of the project, nothing up in it."""
    with copied_project() as copy:
        yield copy


@pytest.fixture(scope="module")
def own_server() -> Iterator[ServerFile]:
    """A server that no other test uses: a stack's roles belong to the whole of it."""
    with running_server() as running:
        yield running
