"""Apply a folder of migrations and print how long it took from connecting to the last commit, in seconds.

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

    def report(event: Event) -> None:
        moments[event.kind] = time.perf_counter()

    try:
        runner.apply(target, directory.read(Path(sys.argv[1])), options=Options(stack="bench"), report=report)
    except ChatdbError as error:
        print(error, file=sys.stderr)
        return 1
    print(moments.get("applied", moments["connected"]) - moments["connecting"])
    gc.freeze()
    return 0


if __name__ == "__main__":
    sys.exit(main())
