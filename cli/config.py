"""`chatdb config …`: the settings of a stack, in its file. A key or value that no run would take is refused at once."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from cli.context import project, stack_name
from infra.errors import SettingsError

HIDDEN = "[secret]"


def config_set(options: argparse.Namespace) -> None:
    """Write one setting.

    Raises:
        SettingsError: there is no such key of ours, or the value is none for it.
    """
    from embedded import editing

    value = options.value if options.value is not None else _asked(options.key, secret=options.secret)
    _require_usable(_full(options.key), value, secret=options.secret)
    editing.set_value(project(), stack_name(options), options.key, value, secret=options.secret)
    print(f"set {options.key} in {_file(options)}{' (encrypted)' if options.secret else ''}")


def config_list(options: argparse.Namespace) -> None:
    """Print what the stack's own file says; secrets are not shown."""
    from embedded import settings

    own = settings.stack_values(project(), stack_name(options))
    shown = {key: _shown(value) for key, value in own.items()}
    if options.json:
        print(json.dumps(shown))
        return
    for key, value in shown.items():
        print(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")


def config_remove(options: argparse.Namespace) -> None:
    """Take one setting out."""
    from embedded import editing

    editing.remove_value(project(), stack_name(options), options.key)
    print(f"removed {options.key} from {_file(options)}")


def _file(options: argparse.Namespace) -> str:
    return f"Pulumi.{stack_name(options)}.yaml"


def _full(key: str) -> str:
    from embedded import settings

    return settings.full_key(settings.project_name(project()), key)


def _asked(key: str, *, secret: bool) -> str:
    """Return a value that is not on the command line: typed, a secret unseen, or from a pipe or file."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    if not secret:
        return input(f"{key}: ")
    import getpass

    return getpass.getpass(f"{key}: ")


def _require_usable(full: str, value: str, *, secret: bool) -> None:
    from infra import settings

    mistakes = settings.mistakes_of(full, value, secret=secret)
    if mistakes:
        raise SettingsError(
            f"{full} cannot be set to this",
            detail=" ".join(mistakes),
            hint="Give a value like the example; Pulumi.yaml describes every key.",
        )


def _shown(value: Any) -> Any:
    """Return a value of the file with each encrypted part hidden."""
    if isinstance(value, dict):
        return HIDDEN if list(value) == ["secure"] else {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value
