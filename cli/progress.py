"""Print the steps of a run, one line each, and what came of it as the products' documents do.

Called by `cli.migrations`. Standard library alone: with nothing to do, nothing else is loaded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cli import streams
from infra.connection import Target
from infra.migrations.model import Event
from infra.products import Product

if TYPE_CHECKING:
    from infra.verification import Report

# What a person wants to read of a run: the rest is for drawing.
TOLD = (
    *("connecting", "waiting", "retrying", "recovering", "executing", "rolled back", "baselined", "closed"),
    "untraced",
)


class Progress:
    """What the runner's report callback feeds. Lines go to stderr where the result is for a machine.

    Args:
        product: The product.
        target: Its database; host and database are shown, nothing else of it.
        quiet: Whether standard output is for a machine.
    """

    def __init__(self, product: Product, target: Target, *, quiet: bool) -> None:
        self._product = product
        self._where = f"{target.host}/{target.database}"
        self._label = target.label
        self._stream = sys.stderr if quiet else sys.stdout
        self._first_ran = False
        self.verified: Report | None = None
        self.line(f"database: {self._where}")

    def line(self, text: str) -> None:
        """Print one line at once; where that cannot be, the rest is not told, and the run goes on to its end."""
        try:
            print(text, file=self._stream, flush=True)
        except OSError:  # the reader went away, or the disk is full
            streams.silence(self._stream)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event.kind:
            case "loaded":
                self.line(f"loaded {event.statements} migrations of {self._product.name}")
            case "verifying":
                self.line(event.text)
            case "verified" if self.verified is not None:
                self._result(self.verified)
            case kind if kind in TOLD:
                # The port is no secret, and no part of the name that people know their database by.
                self.line(event.text.replace(self._label, self._where))
        if event.kind == "applied" and event.migration.startswith("0001_"):
            self._first_ran = True

    def _result(self, report: Report) -> None:
        """Print what the catalogue says, in the order of the products' documents."""
        summary = report.summary
        if not report.version:
            return
        done = " created" if self._first_ran else ""
        for table in summary.tables:
            self.line(f"table {self._product.schema}.{table}{done or ' stands'}")
        self.line(f"indexes{done}: {len(summary.named_indexes)} ({', '.join(summary.named_indexes)})")
        further = [index for index in summary.indexes if index not in summary.named_indexes]
        if further:
            self.line(f"indexes added: {len(further)} ({', '.join(further)})")
        self.line(f"foreign key: {'yes' if summary.has_foreign_key else 'no'}")
        self.line(f"cascading delete: {'yes' if summary.cascades else 'no'} (read from the catalog)")
        if summary.row_security:
            self.line(f"row-level security: {', '.join(summary.row_security)}")
        self.line(f"verified: {len(report.checks)} facts are as version {report.version:04d} says")
