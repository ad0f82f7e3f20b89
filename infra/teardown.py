"""The guard of one product's data: a dynamic resource that is deleted before anything it guards.

Everything else of the product comes before it, so that whatever would take data away (destroying the stack, taking the
product out of the settings, replacing its database) deletes it first, on either engine. Where the stack is protected,
it closes the logins, compares what there is with the newest proven backup, and lets go only where nothing would be
lost.

Called by `infra.database`. `TeardownProvider` stands in state: never rename it or this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra import logins, products
from infra.aws import Access
from infra.backup import comparison, reading
from infra.backup.manifest import Contents
from infra.backup.store import S3, open_store
from infra.connection import Target
from infra.errors import ChatdbError, ConnectionFailedError
from infra.provider import CONNECTION_KEYS, PlainErrorProvider, changed_keys, target_of
from infra.words import counted

# What `chatdb` gives a run that it has prepared: an update has not always put it into the state.
CONFIRMATION = "CHATDB_DESTROY_CONFIRMATION"
BACKUP_TO = "CHATDB_BACKUP_TO"
NO_DATABASE = "3D000"
LEDGER = "chatdb."
_COMPARED = (
    *CONNECTION_KEYS,
    *("databaseName", "owner", "protected", "onDestroy", "confirmation", "backupTo", "aws", "stack"),
)


class ProtectedDataError(ChatdbError):
    """Data would be taken away that is protected."""


def phrase(stack: str) -> str:
    """Return what takes the protection of a stack off."""
    return f"DESTROY {stack}"


class TeardownProvider(PlainErrorProvider):
    """Opens logins when it is made; closes them and asks for a backup when it is deleted."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse to take the protection off without the phrase."""
        was, now = bool(_olds.get("protected")), bool(news["protected"])
        if was and not now and news["confirmation"] != phrase(news["stack"]):
            error = ProtectedDataError(
                f"{news['product']} is protected on stack {news['stack']}",
                detail="the settings would take its protection off (onDestroy, production) without the phrase",
                hint=f"Put the setting back, or give chatdb:destroyConfirmation: {phrase(news['stack'])}",
                state="Nothing was changed.",
            )
            return CheckResult(news, [CheckFailure("protected", str(error))])
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Ask for an update where something changed, and to be replaced with the database."""
        changed = changed_keys(_olds, _news, _COMPARED)
        # A verifier is for opening a login when this is made; who the logins are is for closing them.
        if set(_olds["logins"]) != set(_news["logins"]):
            changed.append("logins")
        replaces = ["databaseName"] if "databaseName" in changed else []
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Open the logins: an earlier stack may have left them closed."""
        logins.reopen(target_of({**props, "owner": ""}), props["logins"])
        return CreateResult(f"{props['product']}-teardown", props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Take over what is said of it."""
        return UpdateResult(_news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say what was said: nothing of it stands on the server."""
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Let the data go where it is not protected, or where the phrase is given and a proven backup holds it.

        Where the database is dropped, whoever is connected goes first: it is dropped at once or not touched.
        """
        administrator, names = target_of({**_props, "owner": ""}), sorted(_props["logins"])
        if _props["protected"]:
            _let_go(_props)
        if _props["onDestroy"] == "keep":
            return
        try:
            logins.clear(administrator, _props["databaseName"], names)
        except ChatdbError:
            if _props["protected"]:
                logins.reopen(administrator, dict.fromkeys(names, ""))
            raise


def _let_go(props: Mapping[str, Any]) -> None:
    """Close the logins where nothing would be lost.

    Raises:
        ProtectedDataError: the phrase or the backup is missing, or rows were written since; the logins are open.
    """
    administrator = target_of({**props, "owner": ""})
    stack, product = props["stack"], props["product"]
    if (os.environ.get(CONFIRMATION) or props["confirmation"]) != phrase(stack):
        raise ProtectedDataError(
            f"{product} is protected on stack {stack}",
            detail="the setting destroyConfirmation is not given, or not to the letter",
            hint=f"chatdb destroy --stack {stack} counts what there is and says the two steps that allow it.",
            state="Nothing was changed.",
        )
    names = sorted(props["logins"])
    logins.close(administrator, names)
    try:
        found = _contents(administrator, props)
        if found is not None:
            _require_backup(found, props)
        if props["onDestroy"] == "keep":
            logins.lock_out(administrator, names)
    except BaseException:
        logins.reopen(administrator, dict.fromkeys(names, ""))
        raise


def _contents(administrator: Target, props: Mapping[str, Any]) -> Contents | None:
    """Return what is in the database; None where it is gone."""
    try:
        return reading.read(reading.reader_of(administrator, database=props["databaseName"], owner=props["owner"]))
    except ConnectionFailedError as error:
        if error.sqlstate == NO_DATABASE:
            return None
        raise


def _require_backup(found: Contents, props: Mapping[str, Any]) -> None:
    """Pass where the newest proven backup holds what is there now, or there is no row to lose."""
    if not holds_rows(found):
        return
    stack, product = props["stack"], props["product"]
    where = os.environ.get(BACKUP_TO) or props["backupTo"]
    error = ProtectedDataError(
        f"no backup holds what is in {product} on stack {stack}",
        detail=f"{rows_sentence(found)}; ",
        hint=f"chatdb backup --stack {stack} --product {product}, with chatdb:backupTo set; then run it again.",
        state="Nothing was taken away; the logins are open.",
    )
    if not where:
        error.detail += "the stack has no backupTo"
        raise error
    store = open_store(where if where.startswith(S3) else str(products.in_project(where)), Access.of(props["aws"]))
    newest = next(store.manifests(stack=stack, product=product), None)
    if newest is None:
        error.detail += f"there is none in {where}"
        raise error
    if missing := comparison.row_differences(newest.contents, found):
        error.detail += f"since the one of {newest.taken_at}: {'; '.join(missing)}"
        raise error


def holds_rows(found: Contents) -> bool:
    """Tell whether there is any row to lose; those of the ledger are none."""
    return any(count for table, count in found.rows.items() if not table.startswith(LEDGER))


def rows_sentence(found: Contents) -> str:
    """Return how many rows there are, table by table, without the ledger's."""
    rows = {table: count for table, count in found.rows.items() if not table.startswith(LEDGER)}
    listed = ", ".join(f"{table} {count}" for table, count in rows.items() if count)
    return f"{counted(sum(rows.values()), 'row')}{f' ({listed})' if listed else ''}"


class Teardown(Resource, module="chatdb", name="Teardown"):
    """The guard of one product's data.

    Args:
        name: Name of the resource.
        product: The product.
        stack: The stack.
        connection: The server as the administrator, by `CONNECTION_KEYS`; the password is a secret.
        database: Name of the product's database.
        owner: Role that owns it.
        logins: For each login the verifier of its password, a secret; empty where it has none.
        protected: Whether the data may go only with phrase and backup.
        on_destroy: "drop" or "keep".
        confirmation: The phrase, where it is given.
        backup_to: Where backups are.
        aws: How AWS is reached, as `Access.as_dict` gives it.
        opts: Options of the resource; what it guards is among what it depends on.
    """

    def __init__(
        self,
        name: str,
        *,
        product: str,
        stack: str,
        connection: Mapping[str, Any],
        database: pulumi.Input[str],
        owner: str,
        logins: Mapping[str, pulumi.Input[str]],
        protected: bool,
        on_destroy: str,
        confirmation: str,
        backup_to: str,
        aws: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            **connection,
            "product": product,
            "stack": stack,
            "databaseName": database,
            "owner": owner,
            "logins": dict(logins),
            "protected": protected,
            "onDestroy": on_destroy,
            "confirmation": confirmation,
            "backupTo": backup_to,
            "aws": dict(aws),
        }
        super().__init__(TeardownProvider(), name, props, opts)
