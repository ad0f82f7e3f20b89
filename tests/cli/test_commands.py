"""What every command has: help with an example that parses, and errors in our words."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from cli.commands import COMMANDS, Command
from cli.parser import build, named, parse
from tests.cli.conftest import Shell


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_the_help_of_a_command_shows_its_example(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """It is in the help of the command's own parser and of the whole one."""
    for ask in (parse, build().parse_args):
        with pytest.raises(SystemExit) as left:
            ask([*command.name.split(), "--help"])
        assert left.value.code == 0
        assert f"example:\n  {command.example}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_the_example_of_a_command_parses(command: Command) -> None:
    """As a shell would give it: variables before it and redirections after it are the shell's."""
    words = shlex.split(command.example, posix=True)
    words = words[words.index("chatdb") + 1 :]
    for sign in (">", "<"):
        words = words[: words.index(sign)] if sign in words else words
    assert named(words) is command
    assert parse(words).run == command.run
    assert vars(parse(words)) == {
        key: value for key, value in vars(build().parse_args(words)).items() if key != "parser"
    }


@pytest.mark.parametrize("arguments", [[], ["--help"], ["server"], ["stack", "--help"]], ids=" ".join)
def test_no_command_prints_the_commands(arguments: list[str], shell: Shell) -> None:
    """Exit status 0, nothing on standard error."""
    done = shell.run(None, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: chatdb")
    assert "COMMAND" in done.stdout


WRONG = {
    "command": (
        ("aply",),
        "there is no command 'aply'\n"
        "HINT: Did you mean apply? chatdb --help lists what it takes.\n"
        "STATE: Nothing was changed.\n",
    ),
    "command of a group": (
        ("server", "strat"),
        "there is no command 'server strat'\n"
        "HINT: Did you mean server start? chatdb server --help lists what it takes.\n"
        "STATE: Nothing was changed.\n",
    ),
    "choice": (
        ("up", "--engine", "fast"),
        "argument --engine: invalid choice: 'fast' (choose from 'auto', 'pulumi', 'embedded')\n"
        "HINT: chatdb up --help lists what it takes.\n"
        "STATE: Nothing was changed.\n",
    ),
    "version": (
        ("apply", "--product", "lyra", "--to", "newest"),
        "argument --to: 'newest' is no version: write it as 0002\n"
        "HINT: chatdb apply --help lists what it takes.\n"
        "STATE: Nothing was changed.\n",
    ),
    "version below 0": (
        ("apply", "--product", "lyra", "--to", "-1"),
        "argument --to: -1 is no version; `chatdb rollback` alone steps back\n"
        "HINT: chatdb apply --help lists what it takes.\n"
        "STATE: Nothing was changed.\n",
    ),
    "no product": (
        ("apply",),
        "the following arguments are required: --product\n"
        "HINT: chatdb apply --help lists what it takes.\n"
        "STATE: Nothing was changed.\n",
    ),
    "product": (
        ("apply", "--product", "robotic"),
        "there is no product named 'robotic'\n"
        "DETAIL: known: futureguide, insights, lyra, robotics, storefront\n"
        "HINT: Did you mean robotics? Name one of: futureguide, insights, lyra, robotics, storefront.\n"
        "STATE: Nothing was changed.\n",
    ),
    "product of lint": (
        ("lint", "--product", "nothing"),
        "there is no product named 'nothing'\n"
        "DETAIL: known: futureguide, insights, lyra, robotics, storefront\n"
        "HINT: Name one of: futureguide, insights, lyra, robotics, storefront.\n"
        "STATE: Nothing was changed.\n",
    ),
    "stack": (
        ("preview", "--stack", "prd"),
        "there is no stack named 'prd'\nDETAIL: known: dev, prod\nHINT: Did you mean prod? Name one of: dev, prod.\n"
        "STATE: Nothing was changed.\n",
    ),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_a_name_that_does_not_exist_is_told_with_the_closest(
    arguments: tuple[str, ...], said: str, shell: Shell
) -> None:
    """Exit status 1, the whole text."""
    done = shell.run(None, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith(said)
    assert "Traceback" not in done.stderr


def test_completion_for_bash_can_be_sourced(shell: Shell) -> None:
    """Bash takes the script, and it offers the commands."""
    script = shell.done(None, "completion", "bash")
    ask = '\nCOMP_WORDS=(chatdb app); COMP_CWORD=1; _shtab_chatdb; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash"], input=script + ask, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "apply\n"
