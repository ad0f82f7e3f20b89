"""actionlint for the tests of the pipelines: on PATH, else fetched once by Go's own client into .chatdb/tools."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from infra.products import PROJECT_ROOT

VERSION = "v1.7.12"
TOOLS = PROJECT_ROOT / ".chatdb" / "tools"
FETCH_LIMIT_S = 300


class NotToBeHad(Exception):  # noqa: N818 - it is a reason to skip, not an error
    """actionlint cannot be had on this machine; the reason is its text."""


def program() -> Path:
    """Return actionlint.

    Raises:
        NotToBeHad: it is not on PATH, and Go is not there or its proxy does not give it.
    """
    if found := shutil.which("actionlint"):
        return Path(found)
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / "actionlint.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of one run fetch it once
        if not (TOOLS / "actionlint").exists():
            _fetch()
    return TOOLS / "actionlint"


def _fetch() -> None:
    if shutil.which("go") is None:
        raise NotToBeHad("actionlint is not on PATH, and Go, which would build it, is not installed")
    module = f"github.com/rhysd/actionlint/cmd/actionlint@{VERSION}"
    try:
        subprocess.run(
            ["go", "install", module],
            env={**os.environ, "GOBIN": str(TOOLS), "GOFLAGS": "-modcacherw"},
            capture_output=True,
            text=True,
            check=True,
            timeout=FETCH_LIMIT_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        words = str(error.stderr or error).strip().splitlines()
        raise NotToBeHad(f"go install {module}: {words[-1] if words else 'failed'}") from None
