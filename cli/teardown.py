"""What comes before and after a stack's data may go: rows counted, steps named, backups taken; what is kept, and where.

Called by `cli.stacks`. The guard in the stack (`infra.teardown`) asks again, on whichever engine it is deleted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from cli import backup, engines, stack_settings
from cli.administration import administrator
from cli.context import has_state, project, server_of, setting, stack_folder, structured_setting, switched_on
from infra import products
from infra.backup import reading
from infra.backup.manifest import Contents
from infra.connection import connect
from infra.errors import ChatdbError
from infra.settings import StackSettings


class ProtectedStackError(ChatdbError):
    """A protected stack would be destroyed, or a product of it taken away."""


def is_protected(stack: str) -> bool:
    """Tell whether a stack's file asks for protection, without reading its secrets."""
    return (setting(stack, "onDestroy") or "keep") == "keep" or switched_on(stack, "production")


def require_steps(stack: str, names: Sequence[str], options: argparse.Namespace, *, doing: str) -> StackSettings:
    """Return the settings of a protected stack once both steps are done that allow its data to go.

    Args:
        stack: Name of the stack.
        names: The products whose data would go.
        options: The command line.
        doing: What would be done, as in "destroyed".

    Raises:
        ProtectedStackError: a step is not done; the rows are counted, table by table.
    """
    settings = stack_settings.load(stack, options.engine)
    if settings.destroy_confirmation and settings.backup_to:
        return settings
    from infra import teardown  # it stands on Pulumi's SDK, which an `up` loads beside deriving its key

    phrase = teardown.phrase(stack)
    steps = (
        f"1. chatdb config set --stack {stack} chatdb:destroyConfirmation '{phrase}'"
        f"{' (done)' if settings.destroy_confirmation else ''}\n"
        f"  2. chatdb config set --stack {stack} chatdb:backupTo FOLDER_OR_S3"
        f"{' (done)' if settings.backup_to else ''}: each database is backed up there first, and the backup proven"
    )
    raise ProtectedStackError(
        f"stack {stack} is protected: {doing}",
        detail="\n  ".join(["there are", *_counted(stack, names, options)]),
        hint=f"Two steps allow it:\n  {steps}\n  Then run the same command again.",
        state="Nothing was changed.",
    )


def _counted(stack: str, names: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Return a line for each product: how many rows, table by table."""
    from infra import teardown

    admin = administrator(stack, options.engine)
    return [
        f"{name} in {admin.host}:{admin.port}/{database}: {teardown.rows_sentence(found)}"
        for name, database, found in _read(stack, names, options)
    ]


def _read(stack: str, names: Sequence[str], options: argparse.Namespace) -> Iterator[tuple[str, str, Contents]]:
    """Yield each product whose database stands, with the database's name and what is in it."""
    admin, found = administrator(stack, options.engine), facts(stack, options)
    for name in _standing(stack, names, options):
        database, owner = found[name]["database"], found[name]["roles"]["owner"]
        yield name, database, reading.read(reading.reader_of(admin, database=database, owner=owner))


def facts(stack: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the stack's output `products` says; where its first update has not ended, what its state has."""
    outputs = engines.stack_outputs(stack, options, show_secrets=False)
    if "products" in outputs:
        return dict(outputs["products"])
    from embedded import kept

    return kept.databases(deployment_of(stack, engines.choose(stack, options.engine)))


def unfinished(stack: str, options: argparse.Namespace) -> list[str]:
    """Return the products that have no guard, as the first update of the stack has not ended; nothing is in them.

    Raises:
        ProtectedStackError: there are rows; they are counted.
    """
    if "products" in engines.stack_outputs(stack, options, show_secrets=False):
        return []
    from embedded import kept
    from infra import teardown

    names = kept.unguarded(deployment_of(stack, engines.choose(stack, options.engine)))
    held = [
        f"{name} in {database}: {teardown.rows_sentence(found)}"
        for name, database, found in _read(stack, names, options)
        if teardown.holds_rows(found)
    ]
    if held:
        raise ProtectedStackError(
            f"stack {stack} was never up as a whole, and there are rows in it already",
            detail="; ".join(held),
            hint=f"Mend what its last update named and run it again: chatdb up --stack {stack}. Then destroy it.",
            state="Nothing was changed.",
        )
    return names


def _standing(stack: str, names: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Return the products whose databases stand: an earlier run that was cut short may have dropped some."""
    found = facts(stack, options)
    with connect(administrator(stack, options.engine)) as connection:
        there = {name for (name,) in connection.execute("SELECT datname::text FROM pg_database").fetchall()}
    return [name for name in names if name in found and found[name]["database"] in there]


def back_up(stack: str, names: Sequence[str], settings: StackSettings, options: argparse.Namespace) -> None:
    """Back up each product where the stack keeps its backups."""
    store = backup.store_for(settings)
    for name in _standing(stack, names, options):
        _, place = backup.take(_about(options, stack), stack, name, store)
        print(f"backed up {name}: {place}", file=sys.stderr)


def _about(options: argparse.Namespace, stack: str) -> argparse.Namespace:
    """Return a command line that names the stack and no database."""
    plain = dict.fromkeys(("url", "host", "port", "database", "user", "sslmode", "owner"), "")
    return argparse.Namespace(**{**plain, **vars(options), "stack": stack})


@contextlib.contextmanager
def allowed(
    stack: str, settings: StackSettings, engine: engines.Engine, *, empty: Sequence[str] = ()
) -> Iterator[None]:
    """Let the stack's guards see phrase and backups for the length of the block, and take the protection off.

    Args:
        stack: Name of the stack.
        settings: Its settings, in which both steps are done.
        engine: Which has it.
        empty: Products that have no guard yet and hold nothing, as `unfinished` found.
    """
    from embedded import kept
    from infra import teardown

    given = {teardown.CONFIRMATION: settings.destroy_confirmation, teardown.BACKUP_TO: settings.backup_to}
    if engine == "pulumi" and not empty:
        run_pulumi(["state", "unprotect", "--all", "--yes", "--stack", stack], stack)
    else:
        put_deployment(stack, engine, kept.without_protection(deployment_of(stack, engine), empty=empty))
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            os.environ.pop(name, None)


def deployment_of(stack: str, engine: engines.Engine) -> dict[str, Any]:
    """Return the stack's deployment."""
    if engine == "pulumi":
        found: dict[str, Any] = json.loads(run_pulumi(["stack", "export", "--stack", stack], stack))
        return found
    from embedded import stackfile

    return stackfile.export_stack(project(), stack)


def put_deployment(stack: str, engine: engines.Engine, found: dict[str, Any]) -> None:
    """Put a deployment in the place of the stack's."""
    if engine == "embedded":
        from embedded import stackfile

        stackfile.import_stack(project(), stack, found)
        return
    from embedded.files import write_private

    file = stack_folder(stack) / "deployment.json"
    write_private(file, json.dumps(found))
    try:
        run_pulumi(["stack", "import", "--stack", stack, "--file", str(file)], stack)
    finally:
        file.unlink()


def where_it_is(stack: str, names: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Return the lines that say where data will be that is kept, and how to come back to it."""
    admin, found = administrator(stack, options.engine), facts(stack, options)
    lines = [
        f"kept: database {found[name]['database']} on {admin.host}:{admin.port}, "
        f"owned by {found[name]['roles']['owner']}"
        for name in names
    ]
    lines.append("its logins are closed and have passwords that nobody knows")
    if server_of(stack) is not None:
        lines.append(f"the embedded server keeps the data in {stack_folder(stack) / 'server'}")
    return [*lines, f"to come back to it: chatdb up --stack {stack}"]


def run_pulumi(arguments: list[str], stack: str) -> str:
    """Run the Pulumi CLI for a stack's state, and return what it prints."""
    done = engines.run_pulumi(arguments, capture=True)
    if done.returncode:
        raise ChatdbError(
            f"the Pulumi CLI cannot {' '.join(arguments[:2])} of stack {stack}",
            detail=" ".join(done.stderr.split()),
            hint="Mend what it names, then run the same command again.",
            state="No data was touched.",
        )
    return done.stdout


def departing(stack: str, options: argparse.Namespace) -> list[str]:
    """Return the products that a stack carries and its settings do not name any more."""
    if not has_state(stack) and engines.choose(stack, options.engine) == "embedded":
        return []
    if setting(stack, "products") is None:
        return []
    try:
        carried = engines.stack_outputs(stack, options, show_secrets=False).get("products", {})
    except ChatdbError:
        return []  # the Pulumi CLI has no such stack yet; what else may be wrong, `up` says itself
    return sorted(set(carried) - set(named(stack)))


def named(stack: str) -> list[str]:
    """Return the products that the stack's file names."""
    found = structured_setting(stack, "products")
    return products.names() if found is None else list(found)
