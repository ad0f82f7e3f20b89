"""How long a stack takes: all five products from nothing, and again with nothing to do.

Works in a copy of the project, so that no stack of yours is touched. Times whole processes (wall clock).

    .venv/bin/python -m bench.up            # three fresh runs, five with nothing to do
    .venv/bin/python -m bench.up --runs 5
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = (".git", ".venv", ".chatdb", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__")


def seconds(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command and return how long it took; its output is shown when it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return took


def measure(engine: str, folder: Path, *, runs: int) -> tuple[list[float], list[float]]:
    """Return the times of fresh runs and of runs with nothing to do, in seconds."""
    environment = {**os.environ, "CHATDB_ENGINE": engine, "PYTHONPATH": str(folder), "CHATDB_PROJECT": str(folder)}
    if engine == "pulumi":
        backend = folder / ".chatdb" / "backend"
        environment |= {
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
    fresh, idle = [], []
    up, destroy = ([sys.executable, "-m", "cli", verb, "--stack", "dev", "--yes"] for verb in ("up", "destroy"))
    for _ in range(runs):
        if engine == "pulumi":
            (folder / ".chatdb" / "backend").mkdir(parents=True, exist_ok=True)
        fresh.append(seconds(up, folder, environment))
        idle += [seconds(up, folder, environment) for _ in range(2)]
        seconds(destroy, folder, environment)
    return fresh, idle


def main() -> None:
    """Measure on every engine that is here and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="fresh runs of each engine")
    runs = parser.parse_args().runs
    engines = ["embedded", *(["pulumi"] if shutil.which("pulumi") else [])]
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {runs} fresh runs, {2 * runs} with nothing to do")
    for engine in engines:
        with tempfile.TemporaryDirectory(prefix="chatdb-bench-") as name:
            folder = Path(name) / "chatdb"
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
            (folder / ".venv").symlink_to(ROOT / ".venv")
            compiling = [sys.executable, "-m", "compileall", "-q", "cli", "embedded", "infra"]  # as `make install` does
            subprocess.run(compiling, cwd=folder, check=True)
            Path(name).chmod(0o755)
            fresh, idle = measure(engine, folder, runs=runs)
        for what, times in (("all five products fresh", fresh), ("nothing to do", idle)):
            print(
                f"{engine:9} {what:24} median {statistics.median(times):5.2f} s "
                f"(min {min(times):.2f}, max {max(times):.2f})"
            )


if __name__ == "__main__":
    main()
