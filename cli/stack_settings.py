"""A stack's settings as its program reads them: typed, secrets decrypted, from whichever engine has the stack.

For commands that do what the program does not: backups, and what must come before a stack is destroyed.
"""

from __future__ import annotations

import json
from typing import Any

from cli.context import project
from cli.engines import choose, run_pulumi
from infra import settings
from infra.errors import SettingsError
from infra.settings import StackSettings


def load(stack: str, engine: str = "auto") -> StackSettings:
    """Return the settings of a stack.

    Raises:
        SettingsError: they have mistakes, or the Pulumi CLI does not give them.
        UnknownNameError: there is no such stack.
    """
    values, secret_keys = _from_pulumi(stack) if choose(stack, engine) == "pulumi" else _from_file(stack)
    return settings.load(values, stack=stack, secret_keys=secret_keys)


def _from_file(stack: str) -> tuple[dict[str, Any], list[str]]:
    from embedded import settings as files

    files.stack_file(project(), stack)
    found = files.load(project(), stack, files.open_vault(project(), stack))
    return found.plain, found.secret_keys


def _from_pulumi(stack: str) -> tuple[dict[str, Any], list[str]]:
    done = run_pulumi(["config", "--json", "--show-secrets", "--stack", stack], capture=True)
    if done.returncode != 0:
        raise SettingsError(
            f"the Pulumi CLI gives no settings of stack {stack}",
            detail=" ".join(done.stderr.split()),
            hint="Log in (`pulumi login`, or PULUMI_BACKEND_URL), set PULUMI_CONFIG_PASSPHRASE, and run it again.",
        )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    values = {key: entry.get("objectValue", entry.get("value")) for key, entry in found.items()}
    return values, [key for key, entry in found.items() if entry.get("secret")]
