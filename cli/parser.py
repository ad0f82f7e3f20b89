"""Build the argument parser from the table of commands. Standard library alone."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn

from cli.commands import COMMANDS, Command

DESCRIPTION = "Ship the PostgreSQL databases of chat products: roles, schemas, grants and versioned DDL."
EPILOGUE = "Every command has its own help with an example: chatdb COMMAND --help"


class Parser(argparse.ArgumentParser):
    """argparse, with errors in the form of all our errors and exit status 1."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the command line and leave."""
        hint = f"{self.prog} --help lists what it takes."
        words = message.split("'")
        if "invalid choice" in message and len(words) > 1:
            close = difflib.get_close_matches(words[1], [command.name for command in COMMANDS], n=1)
            message = f"there is no command {words[1]!r}"
            hint = f"Did you mean {close[0]}? {hint}" if close else hint
        print(f"{message}\nHINT: {hint}\nSTATE: Nothing was changed.", file=sys.stderr)
        sys.exit(1)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the chosen command's options; `run` names the function to call as `module:function`.

    Prints the help and leaves with status 0 where it is asked for or no command is given.
    """
    parser = build()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        (getattr(options, "parser", None) or parser).print_help()
        sys.exit(0)
    return options


def build() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = Parser(
        prog="chatdb", description=DESCRIPTION, epilog=EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=_version())
    level = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    groups: dict[str, argparse._SubParsersAction[Parser]] = {}
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            owner = level.add_parser(group, help=command.group_summary)
            owner.set_defaults(parser=owner)
            groups[group] = owner.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
        _add(groups[group] if group else level, name, command)
    return parser


def _add(level: argparse._SubParsersAction[Parser], name: str, command: Command) -> None:
    parser = level.add_parser(
        name,
        help=command.summary,
        description=command.summary[0].upper() + command.summary[1:] + ".",
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option in command.options:
        parser.add_argument(*option.flags, **option.settings)
    parser.set_defaults(run=command.run)


def _version() -> str:
    from infra.version import VERSION

    return f"chatdb {VERSION}"
