"""Ask before acting. Called by the commands that change a whole stack."""

from __future__ import annotations

import sys

from infra.errors import RefusedError


def ask(operation: str, stack: str) -> None:
    """Ask whether to act; anything but yes changes nothing.

    Raises:
        ChatdbError: the answer is not yes, there is no terminal to ask, or Ctrl-C was pressed.
    """
    answer, reason = "", "there was no answer"
    try:
        print(f"{operation} stack {stack}? Type yes to go on: ", end="", file=sys.stderr, flush=True)
        answer = input().strip()
    except EOFError:
        print(file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        reason = "Ctrl-C was pressed"
    if answer != "yes":
        raise RefusedError(
            f"{operation} stack {stack} was not confirmed",
            detail=f"the answer was {answer!r}" if answer else reason,
            hint="Answer yes, or run it with --yes.",
        )
