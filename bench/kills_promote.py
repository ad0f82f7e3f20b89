"""Kill a promotion at random moments, again and again, and look whether a row is lost or anybody has to lend a hand.

    .venv/bin/python -m bench.kills_promote                # 100 kills
    .venv/bin/python -m bench.kills_promote --kills 30 --seed 7

Two embedded servers, one product with rows in the stack that takes. Before each round that stack is stepped back, so
that the promotion has indexes to build, settings and comments to write. Three promotions of a round are killed
(kill -9), the fourth is not: it must end with status 0, find every row as it was, and leave nothing to promote.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from typing import Any

import psycopg

from tests.support.project import Project, copied_project

RUNS_KILLED = 3
ROWS = 20_000
PRODUCT, PHRASE = "robotics", "DELETE CHATS TABLE"
FILL = f"""
WITH reader AS (INSERT INTO users (name, email, hashed_password) VALUES ('a', 'a@example.com', '') RETURNING id)
INSERT INTO chats (user_id, query, response)
SELECT id, 'why ' || n, 'so ' || n FROM reader, generate_series(1, {ROWS}) AS n
"""
LOOK = "SELECT count(*), md5(string_agg(chats::text, ',' ORDER BY id)) FROM chats"


def write_stack(project: Project, stack: str, **more: Any) -> None:
    """Write a stack with an embedded server of its own and one product."""
    file = f".chatdb/{stack}/server/server.json"
    project.write_stack(
        stack, {"serverFile": file, "standIns": True, "onDestroy": "drop", "products": [PRODUCT], **more}
    )


def run(address: str, statement: str) -> tuple[Any, ...] | None:
    """Run a statement as the owner and return its first row, where it has one."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"SET ROLE {PRODUCT}_owner")
        done = connection.execute(statement)
        return done.fetchone() if done.description else None


def start(project: Project) -> subprocess.Popen[str]:
    """Start a promotion."""
    command = [sys.executable, "-m", "cli", "promote", "--from", "dev", "--to", "live", "--yes", "--json"]
    return subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def step_back(project: Project) -> None:
    """Undo all but the first migration of the stack that takes, which loses no row."""
    arguments = ("--stack", "live", "--product", PRODUCT, "--to", "1", "--confirm", PHRASE)
    project.succeed("rollback", *arguments)


def undisturbed(project: Project) -> float:
    """Return how long a promotion takes that nobody kills, in seconds."""
    step_back(project)
    began = time.perf_counter()
    process = start(project)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.perf_counter() - began


def torment(project: Project, address: str, kills: int, moment: random.Random) -> tuple[int, int, int]:
    """Return how many kills there were, how many rounds needed a hand, and how many lost or changed a row."""
    length_s, expected = undisturbed(project), run(address, LOOK)
    killed = needy = lossy = 0
    while killed < kills:
        step_back(project)
        for _ in range(RUNS_KILLED):
            process = start(project)
            time.sleep(moment.uniform(0.1, 1.0) * length_s)
            if process.poll() is None:
                killed += 1
                process.kill()
            else:
                length_s *= 0.9  # the machine has become faster: the moments must lie within a run
            process.communicate()
        process = start(project)
        said, errors = process.communicate()
        again, _ = start(project).communicate()
        if process.returncode != 0 or json.loads(again)["promoted"]:
            needy += 1
            print(f"a promotion needs a hand:\n{said}\n{errors}\n{again}", file=sys.stderr)
        if run(address, LOOK) != expected:
            lossy += 1
            print(f"rows are {run(address, LOOK)} instead of {expected}", file=sys.stderr)
        print(f"{killed} kills, {needy} needed a hand, {lossy} lost rows", file=sys.stderr)
    return killed, needy, lossy


def main() -> int:
    """Kill, count, print; exit with 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="for the same moments again")
    options = parser.parse_args()
    began = time.perf_counter()
    with copied_project() as project:
        write_stack(project, "dev")
        write_stack(project, "live", promoteFrom="dev")
        try:
            project.succeed("up", "--stack", "dev", "--yes")
            project.succeed("promote", "--to", "live", "--yes")
            address = project.succeed("url", "--stack", "live", "--product", PRODUCT, "--role", "migrator").strip()
            run(address, FILL)
            moment = random.Random(options.seed)  # noqa: S311 - moments, not secrets
            killed, needy, lossy = torment(project, address, options.kills, moment)
        finally:
            for stack in ("live", "dev"):
                project.chatdb("destroy", "--stack", stack, "--yes")
    print(f"{killed} kills: {needy} needed a hand, {lossy} lost or changed a row ({time.perf_counter() - began:.0f} s)")
    return 1 if needy or lossy else 0


if __name__ == "__main__":
    sys.exit(main())
