"""A setting that is on is on however the file writes it: what guards production hangs on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from cli import teardown
from cli.context import switched_on


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHATDB_PROJECT", str(tmp_path))
    (tmp_path / "Pulumi.yaml").write_text("name: chatdb\nruntime: python\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("written", ["true", '"true"', "True", '"True"', '"yes"', '"on"', '"y"', '"t"', '"1"', "1"])
def test_what_the_model_takes_for_true_protects(project: Path, written: str) -> None:
    """`pulumi config set` and `pulumi stack init` write every value as a string."""
    assert TypeAdapter(bool).validate_python(written.strip('"')) is True
    file = project / "Pulumi.live.yaml"
    file.write_text(f"config:\n  chatdb:onDestroy: drop\n  chatdb:production: {written}\n", encoding="utf-8")
    assert switched_on("live", "production")
    assert teardown.is_protected("live")


@pytest.mark.parametrize("written", ["false", '"false"', '"no"', "0", '""'])
def test_what_is_off_or_absent_does_not(project: Path, written: str) -> None:
    file = project / "Pulumi.live.yaml"
    file.write_text(f"config:\n  chatdb:onDestroy: drop\n  chatdb:production: {written}\n", encoding="utf-8")
    assert not switched_on("live", "production")
    assert not switched_on("live", "adopt")
    assert not teardown.is_protected("live")
