"""`chatdb rotate`: new passwords without downtime, by raising the stack's setting `rotation` and running `up`.

Which login is current and which passwords end is decided by `infra.rotation`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from cli import stacks
from cli.confirmation import ask
from cli.console import err, out
from cli.context import project, require_running, setting, stack_name
from cli.engines import stack_outputs
from cli.targets import from_outputs
from infra import rotation, sessions
from infra.connection import connect
from infra.errors import RefusedError
from infra.naming import RoleNames
from infra.rotation import Login


def rotate(options: argparse.Namespace) -> int:
    """Raise the rotation, bring the stack up, and say which login is current and which is still valid."""
    from embedded import editing

    stack = stack_name(options)
    outputs = stack_outputs(stack, options, show_secrets=True)
    require_running(stack)
    done, wanted = int(outputs.get("rotation", 1)), int(setting(stack, "rotation") or 1)
    begun = wanted > done
    # A rotation that did not end is gone on with: one more would end passwords that clients still use.
    wanted = wanted if begun else done + 1
    names = {name: rotation.logins(RoleNames(**facts["roles"]), wanted) for name, facts in outputs["products"].items()}
    if not begun and not options.even_if_used:
        _refuse_if_used(outputs, stack, names)
    err.print(f"rotation {wanted} of stack {stack}{': begun before, gone on with' if begun else ''}")
    for line in _sentences(names):
        err.print(f"  {line}", markup=False)
    if not options.yes:
        ask("rotate", stack)
    editing.set_value(project(), stack, "rotation", str(wanted))
    options.yes = True
    if code := stacks.up(options):
        return code
    _tell(stack, wanted, names, as_json=options.json)
    return 0


def _refuse_if_used(outputs: dict[str, Any], stack: str, names: dict[str, tuple[Login, ...]]) -> None:
    """Return where nobody is logged in by a password that this rotation makes invalid.

    Raises:
        ChatdbError: somebody is; each session is named.
    """
    ending = {
        login.role: name
        for name, logins in names.items()
        for login in logins
        if login.ends and login.kind != "migrator"
    }
    if not ending:
        return
    with connect(from_outputs(outputs, stack, next(iter(names)), "migrator")) as connection:
        found = sessions.read(connection, roles=list(ending))
    if not found:
        return
    option = "" if stack == "dev" else f" --stack {stack}"
    raise RefusedError(
        f"{sessions.counted(found, 'uses', 'use')} a password that this rotation makes invalid",
        detail=sessions.listed(found),
        hint=f"Give those services their current login (`chatdb url --product {ending[found[0].role]}{option}`) and "
        "let them change over, then rotate; or add --even-if-used: sessions live on, but cannot connect anew.",
    )


def _sentences(names: dict[str, tuple[Login, ...]]) -> list[str]:
    """Return a line for each product's logins: which is current, and which is valid beside it."""
    lines = []
    for name, logins in names.items():
        for login in logins:
            if not login.current or login.kind == "migrator":
                continue
            former = next(other.role for other in logins if other.base == login.base and not other.current)
            lines.append(f"{name}: {login.role} is current; {former} stays valid until the next rotation")
    return lines


def _tell(stack: str, number: int, names: dict[str, tuple[Login, ...]], *, as_json: bool) -> None:
    """Say what holds now and what to do with it."""
    if as_json:
        logins = [
            {"product": name, "kind": login.kind, "login": login.role, "current": login.current}
            for name, found in names.items()
            for login in found
        ]
        print(json.dumps({"stack": stack, "rotation": number, "logins": logins}))
        return
    option = "" if stack == "dev" else f" --stack {stack}"
    out.print(f"\n[bold]rotation {number}[/bold]")
    for line in _sentences(names):
        out.print(f"  {line}", markup=False)
    out.print(f"  Pulumi.{stack}.yaml says it now: commit it where it is shared.", markup=False)
    out.print(f"  Give the services their new logins: chatdb url --product NAME --role app{option}", markup=False)
    out.print(f"  When all have changed over, end the former passwords: chatdb rotate{option}", markup=False)
