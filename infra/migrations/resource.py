"""The migrations of one database as a Pulumi dynamic resource: a thin edge over the runner.

`check` plans, so that a bad file, an edited file or a failed lint stops a preview; `create` and `update` apply. The
ledger in the database is the truth: nothing here is believed of a state. Declared by `infra.database`.
The names `infra.migrations.resource` and `MigrationsProvider` stand in every stack's state: never rename them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra import commit, products, promotion, verification
from infra.connection import connect
from infra.errors import ChatdbError, ConnectionFailedError
from infra.hooks import product_hooks
from infra.migrations import filename, linting, planner, runner, snapshot
from infra.migrations.model import Migration
from infra.migrations.options import Options, Status
from infra.migrations.telling import Teller
from infra.provider import CONNECTION_KEYS, PlainErrorProvider, changed_keys, is_known, target_of
from infra.version import VERSION

# SQLSTATE of a database that does not exist.
NO_DATABASE = "3D000"
# The outputs that are no inputs.
COMPUTED = ("applied", "version", "digest", "ledgerHash", "release")


class MigrationsProvider(PlainErrorProvider):
    """Plans in `check`, applies in `create` and `update`, looks for drift in `read`."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse what cannot be applied and name what is pending."""
        try:
            migrations = _migrations(news)
            pending = _pending(_olds, news, migrations)
            linting.require([migration for migration in migrations if migration.name in pending])
            if pending:
                snapshot.load(products.load(news["product"]), migrations[-1].version)
        except ChatdbError as error:
            return CheckResult(news, [CheckFailure("migrations", str(error))])
        # Applied by an earlier update and pending again: someone stepped back, and the state does not know.
        undone = [name for name in pending if name in _olds.get("migrations", {})]
        return CheckResult({**news, "pending": pending, "undone": undone, "drift": []}, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Ask for an update where something is pending, was undone, has drifted, or the connection changed.

        A refresh asks too, with inputs from before the last update: what was pending then is among `applied`. What an
        earlier version of this program made has not every output yet: others would wait for it with each update.
        """
        changed = changed_keys(_olds, _news, (*CONNECTION_KEYS, "owner", "migrations"))
        applied = _olds.get("applied", [])
        pending = [name for name in _news.get("pending", []) if name not in applied]
        lacking = [key for key in COMPUTED if _olds.get(key) is None]
        changes = bool(changed or pending or lacking or _news.get("undone") or _olds.get("drift"))
        return DiffResult(changes=changes, stables=["product"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Apply everything pending and verify."""
        return CreateResult(f"{props['product']}-migrations", _apply(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Apply everything pending and verify."""
        return UpdateResult(_apply(_news, _olds))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Report the version that is live and each difference from its snapshot; gone with its database."""
        migrations = _migrations(props)
        try:
            status = runner.status(target_of(props), migrations)
        except ConnectionFailedError as error:
            if error.sqlstate == NO_DATABASE:
                return ReadResult(None, {})
            raise
        drift = _drift(props, status.version)
        # What was verified last stays released while the database is not as it must be.
        release = props.get("release") if drift else _release(status, migrations, props)
        found = {**props, **_facts(status, migrations), "release": release, "drift": drift}
        if drift == (props.get("drift") or []):
            return ReadResult(id_, found)
        # Among the inputs too, beside what the program asks for: a preview says what has drifted.
        return ReadResult(id_, found, {key: value for key, value in found.items() if key not in COMPUTED})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leave the data: rows go with their database, or by `chatdb rollback`, never by losing a resource."""


def _migrations(props: dict[str, Any]) -> tuple[Migration, ...]:
    """Return the migrations from the resource's inputs, byte for byte as the files are."""
    return filename.parse_all({f"{name}.sql": "\n".join(lines) for name, lines in props["migrations"].items()})


def _pending(olds: dict[str, Any], news: dict[str, Any], migrations: tuple[Migration, ...]) -> list[str]:
    """Return the names of the migrations that the database lacks.

    Where the database cannot be asked (it is still to be made, or out of reach of this preview), the answer is what
    the last update did not have.
    """
    if is_known(*(news.get(key) for key in (*CONNECTION_KEYS, "owner"))):
        try:
            status = runner.status(target_of(news), migrations)
            return [migration.name for migration in status.plan.pending]
        except ConnectionFailedError:
            pass
    applied = olds.get("migrations", {})
    return [migration.name for migration in migrations if migration.name not in applied]


def _apply(props: dict[str, Any], olds: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Apply, verify and return the outputs; what was released before, `olds` say."""
    migrations = _migrations(props)
    target = target_of(props)
    done = runner.apply(
        target,
        migrations,
        options=Options(
            stack=props["stack"],
            actor=promotion.actor(target.user, props.get("promotionOverride", "")),
            tool_version=VERSION,
        ),
        report=Teller(props["product"]),
        hooks=product_hooks(
            products.load(props["product"]), stand_ins=bool(props["standIns"]), adopt=bool(props["adopt"])
        ),
    )
    if not done.names:
        # The runner verifies what it has changed; an update for drift or a new password changes nothing.
        _verified(props, done.version).require()
    status = runner.status(target, migrations)
    release = _release(status, migrations, olds or {}, commit.current(products.PROJECT_ROOT))
    return {**props, **_facts(status, migrations), "release": release, "drift": []}


def _drift(props: dict[str, Any], version: int) -> list[str]:
    """Return a sentence for each difference between the live database and the snapshot of its version."""
    return [difference.sentence for difference in _verified(props, version).differences]


def _verified(props: dict[str, Any], version: int) -> verification.Report:
    with connect(target_of(props)) as connection:
        return verification.verify(connection, products.load(props["product"]), version)


def _facts(status: Status, migrations: tuple[Migration, ...]) -> dict[str, Any]:
    """Return the outputs that tell where the database is."""
    applied = [migration for migration in migrations if migration.version <= status.version]
    return {
        "applied": [migration.name for migration in applied],
        "version": f"{status.version:04d}",
        "digest": planner.digest(applied),
        "ledgerHash": status.rows[-1].chained_hash if status.rows else "",
    }


def _release(
    status: Status, migrations: tuple[Migration, ...], before: Mapping[str, Any], commit_now: str = ""
) -> dict[str, Any]:
    """Return what the stack releases: where the database is, since when, by which commit, on whose authority.

    All but the commit is read from the ledger. While that has not moved, the commit of the run that moved it stays.
    """
    facts = _facts(status, migrations)
    newest = status.rows[-1] if status.rows else None
    released = before.get("release") or {}
    moved = released.get("ledgerHash") != facts["ledgerHash"]
    return {
        **{key: facts[key] for key in ("version", "digest", "ledgerHash")},
        "digests": planner.digests([migration for migration in migrations if migration.version <= status.version]),
        "appliedAt": newest.finished_at.isoformat(timespec="seconds") if newest and newest.finished_at else "",
        "commit": commit_now if moved else released.get("commit", ""),
        "override": promotion.reason_of(newest.actor) if newest else "",
    }


class Migrations(Resource, module="chatdb", name="Migrations"):
    """The versioned DDL of one database.

    Attributes:
        version: Version the database is at, four digits.
        digest: Digest of the files up to that version.
        release: What was verified there: version, digest (`digests`: of each version before too), ledgerHash, appliedAt
            (UTC, ISO 8601), commit and override, the reason where a promotion passed without a release of its source.

    Args:
        tokens: `{"iam": …}` where the login is by RDS IAM tokens and the password empty, else nothing.
    """

    version: pulumi.Output[str]
    digest: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]

    def __init__(
        self,
        name: str,
        *,
        product: str,
        migrations: Sequence[Migration],
        host: str,
        port: int,
        database: pulumi.Input[str],
        user: str,
        password: pulumi.Input[str],
        tokens: Mapping[str, Any],
        owner: str,
        ssl_mode: str,
        ssl_root_cert: str,
        stand_ins: bool,
        adopt: bool,
        stack: str,
        promotion_override: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "product": product,
            # As lines under each name, a preview shows the SQL itself, on create and on update.
            "migrations": {migration.name: migration.text.split("\n") for migration in migrations},
            "host": host,
            "port": port,
            "database": database,
            "user": user,
            "password": password,
            **tokens,
            "owner": owner,
            "sslMode": ssl_mode,
            "sslRootCert": ssl_root_cert,
            "standIns": stand_ins,
            "adopt": adopt,
            "stack": stack,
            "promotionOverride": promotion_override,
            "version": None,
            "digest": None,
            "release": None,
        }
        super().__init__(MigrationsProvider(), name, props, opts)
