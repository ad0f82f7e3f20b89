"""`chatdb completion`: the completion script of a shell."""

from __future__ import annotations

import argparse

import shtab

from cli.parser import build


def completion(options: argparse.Namespace) -> None:
    """Print the script."""
    print(shtab.complete(build(), shell=options.shell))
