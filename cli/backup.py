"""`chatdb backup` and `chatdb restore`: a product's database to a folder or S3, proven, and back."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.administration import administrator
from cli.context import require_running, stack_name
from cli.direct import direct
from cli.engines import stack_outputs
from cli.targets import require, stack_of
from infra import products
from infra.aws import Access
from infra.backup.manifest import Manifest
from infra.backup.reading import reader_of
from infra.backup.store import S3, Store, open_backup, open_store
from infra.connection import Target, connect
from infra.errors import ChatdbError, RefusedError, unknown_name
from infra.words import counted

if TYPE_CHECKING:
    from infra.backup.taking import ScratchServer
    from infra.settings import StackSettings


def backup(options: argparse.Namespace) -> None:
    """Back up each product, and print where each backup lies."""
    stack = stack_of(options)
    store = store_of(options, options.to)
    taken = [take(options, stack, name, store) for name in require(options)]
    if options.json:
        print(json.dumps([manifest.summary(place) for manifest, place in taken], ensure_ascii=False))
        return
    for manifest, place in taken:
        held = manifest.contents
        rows = f"{counted(held.total, 'row')} of {counted(len(held.rows), 'table')}"
        print(f"{manifest.product} {held.version}: {rows}, proven: {place}")


def restore(options: argparse.Namespace) -> None:
    """Restore a backup into a database of its own."""
    from infra.backup import restoring

    product = products.load(options.product)
    found = open_backup(options.source, aws_access(_settings(options)))
    manifest = found.manifest
    if manifest.product != product.name:
        raise RefusedError(
            f"the backup is not one of {product.name}",
            detail=f"{found.place} is of {manifest.product}, stack {manifest.stack or 'none'}",
            hint=f"Give --product {manifest.product}, or name another backup.",
        )
    login = direct(options)
    admin = login.to(role="") if login is not None else administrator(stack_name(options), options.engine)
    if login is None:
        require_running(stack_name(options))
    with found.fetched() as archive:
        restoring.restore_as(
            options.into,
            archive,
            manifest.sha256,
            manifest.contents,
            admin,
            owner=manifest.owner,
            folders=packaged_folders(),
        )
    held = manifest.contents
    if options.json:
        result = {"product": product.name, "database": options.into, "backup": found.place, "rows": dict(held.rows)}
        print(json.dumps({**result, "version": held.version, "ledger_hash": held.ledger_hash}))
    else:
        rows = counted(held.total, "row")
        print(f"{options.into} holds {product.name} {held.version} of {manifest.taken_at}: {rows}, proven")


def store_of(options: argparse.Namespace, where: str | None, *, flag: str = "--to") -> Store:
    """Return the place that is named, or the stack's `backupTo`.

    Raises:
        ChatdbError: neither names one.
    """
    if where and not where.startswith(S3):
        return open_store(where, Access())
    settings = _settings(options)
    if where:
        return open_store(where, aws_access(settings))
    if settings is not None and settings.backup_to:
        return store_for(settings)
    raise RefusedError(
        "no place for the backup is named",
        detail=f"{flag} is not given, and the stack has no backupTo",
        hint=f"Give {flag} FOLDER or {flag} s3://bucket/prefix, or set chatdb:backupTo.",
    )


def store_for(settings: StackSettings) -> Store:
    """Return the place that a stack's `backupTo` names; a relative folder starts at the project's."""
    where = settings.backup_to
    return open_store(where if "://" in where else products.in_project(where), aws_access(settings))


def packaged_folders() -> list[Path]:
    """Return where the packaged pg_dump and pg_restore are; nowhere where the package is not for this machine."""
    from embedded.programs import packaged_bin_folder

    try:
        return [packaged_bin_folder()]
    except ChatdbError:
        return []


def _settings(options: argparse.Namespace) -> StackSettings | None:
    from cli import stack_settings

    stack = stack_of(options)
    return stack_settings.load(stack, options.engine) if stack else None


def aws_access(settings: StackSettings | None) -> Access:
    """Return how a stack reaches AWS; as the environment has it without one."""
    return settings.aws if settings else Access()


def take(options: argparse.Namespace, stack: str, product: str, store: Store) -> tuple[Manifest, str]:
    """Take one product's backup, telling each step on stderr."""
    from infra.backup import taking

    login = direct(options)
    if login is None:
        admin = administrator(stack, options.engine)
        require_running(stack)
        facts = stack_outputs(stack, options, show_secrets=False)["products"]
        if product not in facts:
            raise unknown_name(f"product in stack {stack}", product, sorted(facts))
        reader = reader_of(admin, database=facts[product]["database"], owner=facts[product]["roles"]["owner"])
    else:
        admin = login.to(role="")
        reader = reader_of(admin, database=login.database, owner=login.role)
    return taking.take(
        taking.Source(target=reader, product=product, stack=stack),
        store,
        folders=packaged_folders(),
        scratch=scratch(admin),
        report=lambda line: print(f"{product}: {line}", file=sys.stderr, flush=True),
    )


def scratch(login: Target) -> Callable[[str], contextlib.AbstractContextManager[ScratchServer]]:
    """Return what gives the server to prove a backup on: the same one where a login may make databases there."""
    from infra.backup.taking import ScratchServer

    @contextlib.contextmanager
    def give(owner: str) -> Iterator[ScratchServer]:
        if _may_make_databases(login, owner):
            yield ScratchServer(administrator=login, where="a scratch database on the same server", has_roles=True)
            return
        from cli import scratch as scratches

        with scratches.server() as server:
            yield ScratchServer(administrator=server.target(), where="an embedded PostgreSQL", has_roles=False)

    return give


def _may_make_databases(login: Target, owner: str) -> bool:
    query = "SELECT rolsuper OR rolcreatedb AND pg_has_role(%s, 'MEMBER') FROM pg_roles WHERE rolname = current_user"
    with connect(login) as connection:
        return connection.execute(query, [owner]).fetchone() == (True,)
