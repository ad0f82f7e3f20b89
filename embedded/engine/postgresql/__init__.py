"""The postgresql provider of the embedded engine: seven resource types, by psycopg. Called by the engine alone.

Ids, inputs and outputs are those of the official plugin, so that a stack's state moves between the two.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from embedded.engine.errors import NotDoneError
from embedded.engine.postgresql.access import DefaultPrivileges, Grant, GrantRole
from embedded.engine.postgresql.noun import Connection
from embedded.engine.postgresql.objects import Database, Role, Schema
from embedded.engine.provider import Diff, Failure, Values
from embedded.engine.values import is_known
from infra.aws import Access
from infra.connection import Target, connect, explained
from infra.errors import DatabaseError
from infra.products import in_project

T = TypeVar("T")
DATABASE_TYPE = "postgresql:index/database:Database"
AnyNoun = Database | Role | Schema | Grant | GrantRole
NOUNS: Mapping[str, AnyNoun] = {
    DATABASE_TYPE: Database(),
    "postgresql:index/role:Role": Role(),
    "postgresql:index/grantRole:GrantRole": GrantRole(),
    "postgresql:index/schema:Schema": Schema(),
    "postgresql:index/grant:Grant": Grant(),
    "postgresql:index/defaultPrivileges:DefaultPrivileges": DefaultPrivileges(),
}
# How often an operation is tried that another session gets in the way of.
ATTEMPTS = 8
# For each input of the provider resource: the field of `Target`, the variable and the value that stand in for it.
CONFIG: Mapping[str, tuple[str, str, str | int]] = {
    "host": ("host", "PGHOST", "localhost"),
    "port": ("port", "PGPORT", 5432),
    "database": ("database", "PGDATABASE", "postgres"),
    "username": ("user", "PGUSER", "postgres"),
    "password": ("password", "PGPASSWORD", ""),
    "sslmode": ("sslmode", "PGSSLMODE", "prefer"),
    "sslrootcert": ("sslrootcert", "PGSSLROOTCERT", ""),
    "connectTimeout": ("connect_timeout_s", "PGCONNECT_TIMEOUT", 180),
}
# The inputs by which the administrator logs in with RDS IAM tokens: the switch, and the fields of `Access`.
IAM = "awsRdsIamAuth"
IAM_CONFIG: Mapping[str, str] = {
    "awsRdsIamRegion": "region",
    "awsRdsIamProfile": "profile",
    "awsRdsIamProviderRoleArn": "role",
}
# The first is seen on the server; the others mean nothing to psycopg.
IGNORED = ("superuser", "maxConnections", "expectedVersion", "version", "pluginDownloadURL")


def check_config(news: Mapping[str, Any]) -> list[Failure]:
    """Return what is wrong with a provider resource's inputs."""
    reason = "the embedded engine connects by password or RDS IAM token; for this use the Pulumi CLI"
    known = (*CONFIG, IAM, *IAM_CONFIG, *IGNORED)
    failures = [Failure(name, reason) for name, value in news.items() if name not in known and value not in (None, "")]
    numbers = {name: news.get(name) for name in ("port", "connectTimeout")}
    wrong = [name for name, value in numbers.items() if is_known(value) and not str(value or 0).isdigit()]
    return failures + [Failure(name, "it must be a whole number") for name in wrong]


class PostgresqlProvider:
    """Implements `embedded.engine.provider.Provider`; connects on first use, once per database.

    The engine asks for one operation at a time: each takes milliseconds, and parallel changes of one catalogue row fail
    in PostgreSQL.

    Args:
        config: Inputs of the provider resource; numbers and booleans may be JSON text.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        fields: dict[str, Any] = {}
        for name, (field, variable, default) in CONFIG.items():
            fields[field] = type(default)(config.get(name) or os.environ.get(variable) or default)
        fields["sslrootcert"] = in_project(fields["sslrootcert"])
        if fields["sslmode"].startswith("verify-") and not fields["sslrootcert"]:
            fields["sslrootcert"] = "system"  # as the official plugin does it
        if str(config.get(IAM)).lower() == "true":
            fields["iam"] = Access.of({field: config.get(name) for name, field in IAM_CONFIG.items()})
        self.target = Target(**fields)
        self._connections: dict[str, Connection] = {}

    def check(self, type_: str, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs and what is wrong with them; a default is left out, as the server has the same."""
        return news, _noun(type_).check(news)

    def diff(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Return which properties differ."""
        changed, properties = [], _noun(type_).properties
        for name, prop in properties.items():
            new = news.get(name)
            # What the server decides is not compared, unless the program decided it before and can be undone.
            if new is None and prop.open and (prop.kind != "set" or old_inputs.get(name) is None):
                continue
            if not is_known(new) or not prop.same(old_inputs.get(name, old_outputs.get(name)), new):
                changed.append(name)
        replaces = tuple(name for name in changed if properties[name].fixed)
        # Two of one name cannot stand beside each other, and a grant revoked after its successor was made is lost.
        return Diff(tuple(changed), replaces, delete_before_replace=True)

    def create(self, type_: str, inputs: Values, *, resumed: bool = False) -> tuple[str, Values]:
        """Make the resource and return its id and outputs.

        Args:
            type_: Its type.
            inputs: Its checked inputs.
            resumed: Whether an earlier run began to make it, so that what stands may be its work.

        Raises:
            AlreadyExistsError: a database, role or schema of the name stands, and `resumed` is false.
        """
        noun, wanted = self._filled(type_, inputs)
        return noun.identify(wanted), self._apply("create", noun, None, wanted, resumed=resumed)

    def read(self, type_: str, id_: str, inputs: Values, outputs: Values) -> tuple[str | None, Values, Values]:
        """Return the resource as it is now; an input keeps its spelling where it means what is there."""
        noun, wanted = self._filled(type_, inputs)
        live = self._live(noun, wanted)
        if live is None:
            return None, {}, {}
        found = dict(inputs)
        for name, value in live.items():
            prop, given = noun.properties[name], inputs.get(name)
            if not prop.same(given, value) and not (given is None and prop.open):
                found[name] = value
        return noun.identify({**wanted, **live}), found, _shown({**wanted, **live})

    def update(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Values:
        """Change the resource in place and return its outputs."""
        noun, wanted = self._filled(type_, news)
        return self._apply("change", noun, self._filled(type_, old_inputs)[1], wanted)

    def delete(self, type_: str, id_: str, inputs: Values, outputs: Values) -> None:
        """Remove the resource; what is gone already is no error."""
        noun, old = self._filled(type_, inputs)
        if self._reaches(old):
            self._run("drop", noun, old, lambda connection: noun.delete(connection, old))

    def close(self) -> None:
        """Close every connection."""
        for database in list(self._connections):
            self._forget(database)

    def _filled(self, type_: str, inputs: Values) -> tuple[AnyNoun, Values]:
        noun = _noun(type_)
        return noun, noun.filled(inputs, self.target.database)

    def _reaches(self, values: Values) -> bool:
        """Tell whether the database stands that a resource lies in."""
        return "database" not in values or self._live(NOUNS[DATABASE_TYPE], {"name": values["database"]}) is not None

    def _live(self, noun: AnyNoun, wanted: Values) -> Values | None:
        found = self._reaches(wanted)
        return self._run("read", noun, wanted, lambda connection: noun.read(connection, wanted)) if found else None

    def _apply(self, verb: str, noun: AnyNoun, old: Values | None, wanted: Values, *, resumed: bool = False) -> Values:
        self._run(verb, noun, old or wanted, lambda connection: noun.apply(connection, old, wanted, resumed=resumed))
        return _shown({**wanted, **(self._live(noun, wanted) or {})})

    def _run(self, verb: str, noun: AnyNoun, values: Values, work: Callable[[Connection], T]) -> T:
        """Do some work where a resource lies and return its result; again where another session got in the way."""
        target = self.target.to(database=values.get("database") or self.target.database)
        if not noun.atomic and verb in {"change", "drop"}:
            self._forget(values["name"])  # a database is not dropped or renamed under our own session
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with explained(f"cannot {verb} {noun.title.format(**values)}", target):
                    connection = self._connections.get(target.database)
                    if connection is None or connection.closed:
                        connection = self._connections[target.database] = connect(target)
                    with connection.transaction() if noun.atomic else contextlib.nullcontext():
                        return work(connection)
            except DatabaseError as error:
                if noun.held and error.sqlstate == "2BP01":
                    error.hint = noun.held.format(**values)
                concurrent = error.sqlstate == "XX000" and "concurrently" in error.detail
                if attempt == ATTEMPTS or not (concurrent or error.sqlstate in {"40001", "40P01", "55006"}):
                    raise
            time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311 - jitter, no secret
        raise AssertionError

    def _forget(self, database: str) -> None:
        """Close the connection to a database."""
        if connection := self._connections.pop(database, None):
            connection.close()


def _shown(values: Values) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _noun(type_: str) -> AnyNoun:
    if type_ not in NOUNS:
        done = ", ".join(name.rsplit(":", 1)[1] for name in NOUNS)
        raise NotDoneError(f"a resource of type {type_}", detail=f"of pulumi-postgresql it does {done}")
    return NOUNS[type_]
