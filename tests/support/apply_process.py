"""Apply a folder of migrations in a process of its own, which a test may start many times or kill.

`python -m tests.support.apply_process`, with the target's fields and the folder as JSON on standard input. Standard
output gets the result as JSON; an error of ours goes to standard error with exit status 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from infra.connection import Target
from infra.errors import ChatdbError
from infra.migrations import directory, runner
from infra.migrations.options import Options


def start(target: Target, folder: Path) -> subprocess.Popen[str]:
    """Start one; it begins once its input is closed, which `finish` and `feed` do."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.apply_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"target": asdict(target), "folder": str(folder)}))
    process.stdin.close()
    process.stdin = None
    return process


def main() -> int:
    """Apply, report, return the exit status."""
    given = json.loads(sys.stdin.read())
    try:
        applied = runner.apply(
            Target(**given["target"]), directory.read(Path(given["folder"])), options=Options(stack="test")
        )
    except ChatdbError as error:
        sys.stderr.write(str(error))
        return 1
    sys.stdout.write(json.dumps(applied.names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
