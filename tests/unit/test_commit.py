"""The commit that a release names, asked of real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra import commit


@pytest.fixture(autouse=True)
def no_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pipeline sets must not decide."""
    for name in commit.PIPELINES:
        monkeypatch.delenv(name, raising=False)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit of a project."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/one.sql").write_text("SELECT 1;\n")
    (tmp_path / "Pulumi.prod.yaml").write_text("config: {}\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    return tmp_path


def test_the_commit_is_the_one_that_is_checked_out(repository: Path) -> None:
    """40 hex digits, also where a stack's settings were edited."""
    (repository / "Pulumi.prod.yaml").write_text("config: {a: 1}\n")
    assert commit.current(repository) == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["one.sql", "new.sql"])
def test_files_that_are_not_as_committed_are_marked(repository: Path, name: str) -> None:
    """An edited migration and one that was never added: the commit alone does not give what was released."""
    (repository / "schema" / name).write_text("SELECT 2;\n")
    assert commit.current(repository) == git(repository, "rev-parse", "HEAD") + "+changes"


def test_without_a_repository_a_pipeline_may_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in an image come without their repository; nobody knows is no error."""
    assert commit.current(tmp_path) == ""
    monkeypatch.setenv("GITHUB_SHA", "f" * 40)
    assert commit.current(tmp_path) == "f" * 40


def test_without_git_nothing_is_known_and_nothing_fails(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is not there."""
    monkeypatch.setenv("PATH", "")
    assert commit.current(repository) == ""
