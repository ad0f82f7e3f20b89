"""Build the argument parser from the table of commands. Standard library alone.

Of a command that is named only its own parser is built: that of all of them is for the help, and for what is misspelt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cli.commands import COMMANDS, Command

PROGRAM = "chatdb"
DESCRIPTION = "Ship the PostgreSQL databases of chat products: roles, schemas, grants and versioned DDL."
EPILOGUE = "Every command has its own help with an example: chatdb COMMAND --help"


class Parser(argparse.ArgumentParser):
    """argparse, with errors in the form of all our errors and exit status 1."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the command line and leave."""
        hint = f"{self.prog} --help lists what it takes."
        words = message.split("'")
        if message.startswith("argument COMMAND: invalid choice") and len(words) > 1:
            import difflib

            group = self.prog.removeprefix(PROGRAM).strip()
            here = [command.name.removeprefix(group).strip().split(" ")[0] for command in _of(group)]
            close = difflib.get_close_matches(words[1], here, n=1)
            message = f"there is no command {f'{group} {words[1]}'.strip()!r}"
            hint = f"Did you mean {f'{group} {close[0]}'.strip()}? {hint}" if close else hint
        print(f"{message}\nHINT: {hint}\nSTATE: Nothing was changed.", file=sys.stderr)
        sys.exit(1)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the chosen command's options; `run` names the function to call as `module:function`.

    Prints the help and leaves with status 0 where it is asked for or no command is given.
    """
    command = named(arguments)
    if command is not None:
        chosen = Parser(prog=f"{PROGRAM} {command.name}", **_appearance(command))
        _fill(chosen, command)
        return chosen.parse_args(arguments[command.name.count(" ") + 1 :])
    parser = build()
    options = parser.parse_args(arguments)
    (getattr(options, "parser", None) or parser).print_help()
    sys.exit(0)


def named(arguments: Sequence[str]) -> Command | None:
    """Return the command that the first words name; None where they name a group, nothing, or what there is not."""
    for command in COMMANDS:
        words = command.name.split(" ")
        if list(arguments[: len(words)]) == words:
            return command
    return None


def build() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = Parser(
        prog=PROGRAM, description=DESCRIPTION, epilog=EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
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
        below = groups[group] if group else level
        _fill(below.add_parser(name, help=command.summary, **_appearance(command)), command)
    return parser


def _appearance(command: Command) -> dict[str, Any]:
    """Return how a command's help reads."""
    return {
        "description": command.summary[0].upper() + command.summary[1:] + ".",
        "epilog": f"example:\n  {command.example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    for option in command.options:
        parser.add_argument(*option.flags, **option.settings)
    parser.set_defaults(run=command.run)


def _of(group: str) -> list[Command]:
    """Return the commands of a group; all of them where it is empty."""
    return [command for command in COMMANDS if command.name.startswith(f"{group} ") or not group]


def _version() -> str:
    from infra.version import VERSION

    return f"chatdb {VERSION}"
