"""A stack that really was brought up, for tests of who may do what in it: once per worker, left as it was by each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.standing import Standing, brought_up


@pytest.fixture(scope="session")
def standing() -> Iterator[Standing]:
    """Lyra and futureguide as `chatdb up` makes them, on an embedded server of their own."""
    with brought_up() as up:
        yield up
