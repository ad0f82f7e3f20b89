"""`chatdb sql`: migrations as one script for psql or a web console. Connects to nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from infra import products
from infra.errors import RefusedError
from infra.migrations import directory, draft_mark
from infra.migrations.model import Migration
from infra.migrations.options import Options
from infra.migrations.script import script
from infra.version import VERSION


def sql(options: argparse.Namespace) -> None:
    """Print the script, or write it to a file."""
    product = products.load(options.product)
    migrations = directory.read(product.migrations_folder)
    draft_mark.refuse(migrations)
    text = script(
        migrations, after=options.after, to=options.to, options=Options(stack=options.stack or "", tool_version=VERSION)
    )
    if options.plain:
        text = plain(migrations, after=options.after, to=options.to)
    if options.out is None:
        sys.stdout.write(text)
        return
    write(Path(options.out), text)
    how = f"psql --set ON_ERROR_STOP=1 --file={options.out}"
    print(f"wrote {options.out}; run it as the owner of the database: {how}", file=sys.stderr)


def plain(migrations: Sequence[Migration], *, after: int, to: int | None) -> str:
    """Return the up sections as they stand in the files, without ledger rows: what runs leaves no record.

    Args:
        migrations: All files, lowest version first.
        after: Version the database is at; 0 for an empty one.
        to: Version to lead to; the newest when None.
    """
    chosen = [m for m in migrations if after < m.version and (to is None or m.version <= to)]
    return "\n".join(f"-- {migration.name}\n{migration.up.strip()}\n" for migration in chosen)


def write(file: Path, text: str) -> None:
    """Write a file.

    Raises:
        ChatdbError: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RefusedError(
            f"cannot write {file}",
            detail=error.strerror or str(error),
            hint="Name a file in a folder that exists and may be written to.",
        ) from None
