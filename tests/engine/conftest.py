"""Fixtures of the engine's tests: a toy project and a passphrase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.toy import PASSPHRASE, Toy


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy project, its passphrase in the environment."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    return Toy(tmp_path / "project")
