"""Kill backups and teardowns at random moments, a hundred times, and look whether a row is lost or a hand is needed.

    .venv/bin/python -m bench.kills_teardown                # 100 kills
    .venv/bin/python -m bench.kills_teardown --kills 300 --seed 7

Three things by turns, each killed (kill -9) up to three times and then let through: a backup; a destroy that keeps the
data, and the `up` that comes back to it; a destroy that drops the data of production, and a restore of its backup.
After every kill each row stands in the database or in a proven backup; after the run that is let through nothing is
left that the kills had left behind. `tests/stack/test_teardown_kills.py` does a few of them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from bench.scratch import scratch_server
from embedded.programs import packaged_bin_folder
from embedded.server import ServerFile
from infra.aws import Access
from infra.backup import restoring
from infra.backup.manifest import Manifest, parse
from infra.backup.store import open_backup
from infra.connection import connect
from infra.errors import ConnectionFailedError
from tests.support.project import Project, copied_project

Kind = Literal["backup", "keep", "drop"]
STACK = "live"
PEOPLE = 500
RUNS_KILLED = 3
# Dropping takes two more updates to be set up again: it has a smaller share.
KINDS: tuple[Kind, ...] = ("backup", "keep", "backup", "drop")
STEPS = {"destroyConfirmation": f"DESTROY {STACK}", "backupTo": "backups"}
KEPT = {"serverFile": "server.json", "standIns": True, "products": ["lyra"], "onDestroy": "keep", **STEPS}
DROPPED = {**KEPT, "standIns": False, "production": True, "onDestroy": "drop"}


@dataclass
class Count:
    """What came of it.

    Attributes:
        kills: Runs that were killed.
        lost: Kills after which a row stood neither in the database nor in a proven backup.
        needy: Runs that did not go through though nobody killed them.
        untidy: Runs that went through and left something that looks like a backup, or a scratch database.
    """

    kills: int = 0
    lost: int = 0
    needy: int = 0
    untidy: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)


class Torment:
    """One stack that is backed up, destroyed and brought back again and again.

    Args:
        project: A copy of the project.
        server: A server that nobody else uses.
        moment: Chooses the moments.
    """

    def __init__(self, project: Project, server: ServerFile, moment: random.Random) -> None:
        self.project, self.server, self.moment = project, server, moment
        self.count = Count()
        self.lengths: dict[str, float] = {}
        (project.folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")

    def bring_up(self) -> None:
        """Bring the stack up, with people in it."""
        self.project.write_stack(STACK, KEPT)
        self.project.succeed("up", "--stack", STACK, "--yes")
        with connect(self.server.target("lyra")) as connection:
            row = connection.execute("SELECT count(*) FROM users").fetchone()
            missing = PEOPLE - (row[0] if row else 0)
            connection.execute("INSERT INTO users SELECT FROM generate_series(1, %s)", [missing])

    def run(self, kills: int, kinds: tuple[Kind, ...] = KINDS) -> Count:
        """Kill until it was done so many times."""
        finish: dict[Kind, Callable[[], bool]] = {"backup": self._backed_up, "keep": self._kept, "drop": self._dropped}
        self.bring_up()
        turn = 0
        while self.count.kills < kills:
            kind = kinds[turn % len(kinds)]
            turn += 1
            if kind == "drop":
                self.project.write_stack(STACK, DROPPED)
                self.project.succeed("up", "--stack", STACK, "--yes")
            for _ in range(min(RUNS_KILLED, kills - self.count.kills)):
                self._kill_once(kind)
            self._let_through(kind)
            if not finish[kind]():
                self.count.untidy += 1
        return self.count

    def _start(self, kind: Kind) -> subprocess.Popen[str]:
        arguments = ("backup",) if kind == "backup" else ("destroy", "--yes")
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments, "--stack", STACK],
            cwd=self.project.folder,
            env=self.project.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _kill_once(self, kind: Kind) -> None:
        length_s = self.lengths.setdefault(kind, 6.0)
        process = self._start(kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.moment.uniform(0.1, 1.0) * length_s)
        if process.poll() is None:
            process.kill()
            self.count.kills += 1
            self.count.by_kind[kind] = self.count.by_kind.get(kind, 0) + 1
        else:
            self.lengths[kind] = length_s * 0.8  # the moments must lie within a run
        process.communicate()
        if not self._is_safe():
            self.count.lost += 1
            print(f"rows are lost after a killed {kind}", file=sys.stderr)

    def _let_through(self, kind: Kind) -> None:
        began = time.perf_counter()
        process = self._start(kind)
        _, errors = process.communicate()
        self.lengths[kind] = (self.lengths[kind] + time.perf_counter() - began) / 2
        if process.returncode != 0:
            self.count.needy += 1
            print(f"a {kind} needs a hand:\n{errors}", file=sys.stderr)

    def _is_safe(self) -> bool:
        """Tell whether every row stands in the database or in a backup."""
        return self._people() == PEOPLE or any(self._holds_all(item) for item in self._backups())

    def _people(self) -> int:
        """Return how many people the database has; none where it is gone."""
        try:
            with connect(self.server.target("lyra")) as connection:
                row = connection.execute("SELECT count(*) FROM users").fetchone()
                return int(row[0]) if row else 0
        except ConnectionFailedError:
            return 0

    def _backups(self) -> list[tuple[Path, Manifest]]:
        """Return whatever looks like a backup, the newest first."""
        folders = [path for path in self.project.folder.glob(f"backups/{STACK}/lyra/*") if path.name[0] != "."]
        found = []
        for folder in sorted(folders, reverse=True):
            text = (folder / "manifest.json").read_text(encoding="utf-8")
            found.append((folder, parse(text, place=str(folder))))
        return found

    def _holds_all(self, item: tuple[Path, Manifest]) -> bool:
        folder, manifest = item
        intact = hashlib.sha256((folder / "database.dump").read_bytes()).hexdigest() == manifest.sha256
        return intact and manifest.contents.rows["public.users"] == PEOPLE

    def _is_tidy(self) -> bool:
        """Tell whether only proven backups are there, and no database that a killed run was filling."""
        with connect(self.server.target()) as connection:
            left = connection.execute(
                "SELECT FROM pg_database WHERE starts_with(datname, %s)", [restoring.PREFIX]
            ).rowcount
        drafts = list(self.project.folder.glob(f"backups/{STACK}/lyra/.*"))
        return not left and not drafts and all(self._holds_all(item) for item in self._backups())

    def _backed_up(self) -> bool:
        return self._is_tidy() and self._people() == PEOPLE

    def _kept(self) -> bool:
        """Come back to what was kept: every row, every login, nothing more to do."""
        safe = self._people() == PEOPLE and self._is_tidy()
        self.project.succeed("up", "--stack", STACK, "--yes")
        again = self.project.succeed("up", "--stack", STACK, "--yes")
        return safe and self._people() == PEOPLE and again.startswith("nothing to do: ")

    def _dropped(self) -> bool:
        """Restore what was dropped, on the server it was dropped from, and begin anew."""
        tidy = self._is_tidy()
        folder, manifest = self._backups()[0]
        with connect(self.server.target()) as connection:
            gone = connection.execute("SELECT FROM pg_database WHERE datname = 'lyra'").rowcount == 0
            for role in manifest.contents.roles:
                if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
                    connection.execute(f'CREATE ROLE "{role}"'.encode())
        with open_backup(str(folder), Access()).fetched() as archive:
            restoring.restore_as(
                "lyra",
                archive,
                manifest.sha256,
                manifest.contents,
                self.server.target(),
                owner=manifest.owner,
                folders=[packaged_bin_folder()],
            )
        restored = self._people() == PEOPLE
        with connect(self.server.target()) as connection:
            connection.execute("DROP DATABASE lyra")
            for role in [name for name in manifest.contents.roles if name.startswith("lyra")]:
                connection.execute(f'DROP ROLE IF EXISTS "{role}"'.encode())
        self.bring_up()
        return tidy and gone and restored


def main() -> int:
    """Kill, count, print; exit with 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="for the same moments again")
    options = parser.parse_args()
    began = time.perf_counter()
    with scratch_server() as (embedded, _), copied_project() as project:
        moment = random.Random(options.seed)  # noqa: S311 - moments, not secrets
        count = Torment(project, embedded.start(), moment).run(options.kills)
    kinds = ", ".join(f"{number} of {kind}" for kind, number in count.by_kind.items())
    print(
        f"{count.kills} kills ({kinds}): {count.lost} lost rows, {count.needy} needed a hand, "
        f"{count.untidy} left something behind ({time.perf_counter() - began:.0f} s)"
    )
    return 1 if count.lost or count.needy or count.untidy else 0


if __name__ == "__main__":
    sys.exit(main())
