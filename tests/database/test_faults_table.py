"""The cases of `bench.faults`, in which its peers fail, as tests of ours: each cell of our row is good.

Its many first runs at once are in test_runner_concurrency, where an index is built concurrently beside them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fault_cases import CASES, Bench
from bench.peers import CHATDB
from infra.connection import Target


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("at once")])
def test_what_goes_wrong_with_other_runners_goes_well_here(database: Target, tmp_path: Path, name: str) -> None:
    """By processes of their own, as the bench starts them."""
    cell = CASES[name](Bench(CHATDB, CHATDB.install(), tmp_path, database))
    assert cell.good, cell.text
