"""What the compared runners are given to apply, and how each of them wants it written. Pure but for the files.

Called by bench.runners and bench.faults through the table in bench.peers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Change(NamedTuple):
    """One migration.

    Attributes:
        number: Its version, from 1.
        statements: What it does, each without a semicolon.
        transaction: Whether it runs in a transaction.
    """

    number: int
    statements: tuple[str, ...]
    transaction: bool = True

    @property
    def script(self) -> str:
        """All statements as one script."""
        return "".join(f"{statement};\n" for statement in self.statements)


def tables(count: int) -> list[Change]:
    """Return changes that make a table with an index each."""
    return [
        Change(
            number,
            (
                f"CREATE TABLE table_{number} (id bigint PRIMARY KEY, word text)",
                f"CREATE INDEX table_{number}_word_idx ON table_{number} (word)",
            ),
        )
        for number in range(1, count + 1)
    ]


def write_dbmate(folder: Path, changes: Sequence[Change]) -> None:
    """Write the files that chatdb and dbmate share."""
    for change in changes:
        option = "" if change.transaction else " transaction:false"
        text = f"-- migrate:up{option}\n{change.script}\n-- migrate:down\n"
        (folder / f"{change.number:04d}_change.sql").write_text(text, encoding="utf-8")


def write_psql(folder: Path, changes: Sequence[Change]) -> None:
    """Write one script with a transaction for each change, of which only the last is waited for on the disk."""
    transactions = [f"BEGIN;\n{change.script}COMMIT;\n" for change in changes]
    script = "".join(["SET synchronous_commit = off;\n", *transactions[:-1], "RESET ALL;\n", transactions[-1]])
    (folder / "all.sql").write_text(script, encoding="utf-8")


def write_alembic(folder: Path, changes: Sequence[Change]) -> None:
    """Write an Alembic project with a revision for each change."""
    (folder / "versions").mkdir(exist_ok=True)
    (folder / "env.py").write_text(
        "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine\n"
        "with create_engine(os.environ['BENCH_URL']).connect() as connection:\n"
        "    context.configure(connection=connection, transaction_per_migration=True)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n",
        encoding="utf-8",
    )
    (folder / "alembic.ini").write_text(
        f"[alembic]\nscript_location = {folder}\npath_separator = os\n", encoding="utf-8"
    )
    before = "None"
    for change in changes:
        block = "    if True:\n" if change.transaction else "    with op.get_context().autocommit_block():\n"
        operations = "".join(f"        op.execute({statement!r})\n" for statement in change.statements)
        revision = repr(f"r{change.number:04d}")
        head = f"from alembic import op\nrevision = {revision}\ndown_revision = {before}\n"
        text = f"{head}def upgrade():\n{block}{operations}"
        (folder / "versions" / f"r{change.number:04d}.py").write_text(text, encoding="utf-8")
        before = revision


def write_yoyo(folder: Path, changes: Sequence[Change]) -> None:
    """Write a SQL file for each change, each dependent on the one before."""
    before = ""
    for change in changes:
        head = f"-- depends: {before}\n" if before else ""
        head += "" if change.transaction else "-- transactional: false\n"
        before = f"{change.number:04d}_change"
        (folder / f"{before}.sql").write_text(f"{head}\n{change.script}", encoding="utf-8")


def write_sqitch(folder: Path, changes: Sequence[Change]) -> None:
    """Write a plan with a deploy script for each change."""
    (folder / "deploy").mkdir(exist_ok=True)
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n[user]\n\tname = b\n\temail = b@b\n", encoding="utf-8")
    lines = ["%syntax-version=1.0.0", "%project=bench", ""]
    for change in changes:
        lines.append(f"change_{change.number} 2026-01-01T00:00:00Z b <b@b>")
        text = f"BEGIN;\n{change.script}COMMIT;\n" if change.transaction else change.script
        (folder / "deploy" / f"change_{change.number}.sql").write_text(text, encoding="utf-8")
    (folder / "sqitch.plan").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_goose(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change, with goose's marks."""
    for change in changes:
        head = "" if change.transaction else "-- +goose NO TRANSACTION\n"
        text = f"{head}-- +goose Up\n{change.script}"
        (folder / f"{change.number:04d}_change.sql").write_text(text, encoding="utf-8")


def write_tern(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change, with tern's marks."""
    for change in changes:
        head = "" if change.transaction else "---- tern: disable-tx ----\n"
        (folder / f"{change.number:03d}_change.sql").write_text(f"{head}{change.script}", encoding="utf-8")


def write_golang_migrate(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change; golang-migrate sends it as it is, in one message."""
    for change in changes:
        (folder / f"{change.number:04d}_change.up.sql").write_text(change.script, encoding="utf-8")


def write_flyway(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change; one without a transaction has its configuration beside it."""
    for change in changes:
        path = folder / f"V{change.number:04d}__change.sql"
        path.write_text(change.script, encoding="utf-8")
        if not change.transaction:
            path.with_name(f"{path.name}.conf").write_text("executeInTransaction=false\n", encoding="utf-8")


def write_liquibase(folder: Path, changes: Sequence[Change]) -> None:
    """Write a changelog that takes in a folder of formatted SQL files, one for each change."""
    (folder / "changes").mkdir(exist_ok=True)
    (folder / "all.yaml").write_text("databaseChangeLog:\n- includeAll: {path: changes}\n", encoding="utf-8")
    for change in changes:
        option = "" if change.transaction else " runInTransaction:false"
        head = f"--liquibase formatted sql\n--changeset bench:{change.number}{option}\n"
        (folder / "changes" / f"{change.number:04d}_change.sql").write_text(f"{head}{change.script}", encoding="utf-8")
