"""Backups and teardowns killed at random moments: a few of what `bench.kills_teardown` does a hundred times."""

from __future__ import annotations

import random

from bench.kills_teardown import Torment
from embedded.server import ServerFile
from tests.support.project import copied_project

KILLS = 4


def test_killed_backups_and_destroys_lose_no_row_and_are_gone_on_with(own_server: ServerFile) -> None:
    """After each kill every row is there; the run that is let through needs no hand and leaves nothing behind."""
    with copied_project() as project:
        moment = random.Random(11)  # noqa: S311 - moments, not secrets
        count = Torment(project, own_server, moment).run(KILLS, kinds=("keep", "backup"))
    assert (count.kills, count.lost, count.needy, count.untidy) == (KILLS, 0, 0, 0)
