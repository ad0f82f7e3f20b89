"""Remove a test server once the test run has ended, however it ended. Run as a process: python -m tests.support.watch.

Its standard input is a pipe from the test run: the pipe's end is the run's end, by a normal exit or by kill -9.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from embedded.server import EmbeddedServer


def main() -> None:
    """Wait, then stop the server, remove its data and the folder around it, and the small disk mounted there if any."""
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    EmbeddedServer(folder / "server").destroy()
    for disk in (path for path in folder.iterdir() if path.is_mount()):
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
