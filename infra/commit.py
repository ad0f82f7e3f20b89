"""Say which commit the project's files are from. An edge: runs git, reads what pipelines set.

Called by `migrations.resource` while it applies: the answer is kept in the stack's output `release`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# What a product is made from: an edited stack file makes no other product.
MADE_FROM = ("schema", "infra", "__main__.py")
# GitHub's and GitLab's names for the commit that a pipeline runs for, where the files come without their repository.
PIPELINES = ("GITHUB_SHA", "CI_COMMIT_SHA")
DIRTY = "+changes"
TIME_LIMIT_S = 20


def current(folder: Path) -> str:
    """Return the commit of a project's files: 40 hex digits, `+changes` behind them where the files are not as in it.

    Empty where nothing knows it: no git, no repository, no pipeline.
    """
    head = _git(folder, "rev-parse", "--verify", "HEAD")
    if not head:
        return next((os.environ[name] for name in PIPELINES if os.environ.get(name)), "")
    changed = _git(folder, "status", "--porcelain", "--", *MADE_FROM)
    return head if changed == "" else f"{head}{DIRTY}"


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=TIME_LIMIT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
