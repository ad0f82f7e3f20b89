"""Standard streams that lead nowhere: closed before the start, a reader gone, a full disk. Called by `cli` alone."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def open_closed() -> None:
    """Put the null device where a stream was closed before we began, as a supervisor may do."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end


def silence(stream: TextIO) -> None:
    """Lead a stream to the null device: what is still to be written to it has nowhere else to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
