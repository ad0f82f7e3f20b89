"""Apply a folder of migrations and print how long it took, in seconds.

The first line is the time from connecting to the last commit, those that follow the time to the end of each hundred.

    PYTHONPATH=. python bench/apply_folder.py FOLDER < target.json

Called by bench.runners and bench.kills as a process of its own: what `chatdb apply` loads and does, for any folder, but
for verifying the shape of a product, which no peer does.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path


def main() -> int:
    """Load and end like `cli.__main__` does, apply, print, return the exit status."""
    import cli.__main__
    import cli.migrations  # noqa: F401 - what the command loads is a part of its time, and so is the next line
    from cli.parser import parse

    parse(["apply", "--product", "robotics"])
    from infra.connection import Target
    from infra.errors import ChatdbError
    from infra.migrations import directory, runner
    from infra.migrations.model import Event
    from infra.migrations.options import Options

    target = Target(**json.load(sys.stdin))
    moments: dict[str, float] = {}
    applied: list[float] = []

    def report(event: Event) -> None:
        moments[event.kind] = time.perf_counter()
        if event.kind == "applied":
            applied.append(moments["applied"])

    try:
        runner.apply(target, directory.read(Path(sys.argv[1])), options=Options(stack="bench"), report=report)
    except ChatdbError as error:
        print(error, file=sys.stderr)
        return 1
    for moment in (moments.get("applied", moments["connected"]), *applied[99::100]):
        print(moment - moments["connecting"])
    gc.freeze()
    return 0


if __name__ == "__main__":
    sys.exit(main())
