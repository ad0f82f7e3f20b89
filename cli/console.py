"""What the commands print with: rich, loaded only where something is drawn. Results: stdout; the rest: stderr."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from infra.errors import ChatdbError


class _Console(Console):
    """rich's, except that a reader which went away (head, less) is no error: the entry of `chatdb` knows it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(error: ChatdbError) -> None:
    """Print an error in its parts, the labels in colour where the terminal has it."""
    err.print(Text(error.message, style="bold red"))
    for label, text, style in (
        ("DETAIL", error.detail, "yellow"),
        ("HINT", error.hint, "green"),
        ("STATE", error.state, "cyan"),
    ):
        if text:
            err.print(Text.assemble((f"{label}: ", style), text))
