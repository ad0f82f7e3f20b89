"""What the commands print with: rich, loaded only where something is drawn. Results: stdout; the rest: stderr."""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.errors import ChatdbError
from infra.words import printable


class _Console(Console):
    """rich's, except that a reader which went away (head, less) is no error: the entry of `chatdb` knows it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# More columns than any table of ours has.
WIDE = 1000

out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; as wide as it needs where a file or a pipe takes it."""
    fixed = out.is_terminal or os.environ.get("COLUMNS")
    console = out if fixed else _Console(highlight=False, width=WIDE)
    console.print(table)


def print_error(error: ChatdbError) -> None:
    """Print an error in its parts, the labels in colour where the terminal has it; names in it may be anyone's."""
    err.print(Text(_in_lines(error.message), style="bold red"))
    for label, text, style in (
        ("DETAIL", error.detail, "yellow"),
        ("HINT", error.hint, "green"),
        ("STATE", error.state, "cyan"),
    ):
        if text:
            err.print(Text.assemble((f"{label}: ", style), _in_lines(text)))


def _in_lines(text: str) -> str:
    """Return text of ours with others' in it as it may be shown: its lines stay lines."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))
