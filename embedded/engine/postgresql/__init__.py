"""The postgresql provider of the embedded engine: seven resource types, by psycopg. Called by the engine alone.

Ids, inputs and outputs are those of the official plugin, so that a stack's state moves between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from embedded.engine.postgresql.access import DefaultPrivileges, Grant, GrantRole
from embedded.engine.postgresql.objects import AlreadyExistsError, Database, Role, Schema
from embedded.engine.postgresql.session import CONFIG, IAM, IAM_CONFIG, Connection, Session, T
from embedded.engine.provider import Diff, Failure, Values
from embedded.engine.values import UNKNOWN, Unknown, contains
from infra.errors import ChatdbError

__all__ = ["CONFIG_TYPE", "AlreadyExistsError", "PostgresqlProvider", "check_config"]

CONFIG_TYPE = "pulumi:providers:postgresql"
AnyNoun = Database | Role | Schema | Grant | GrantRole
NOUNS: Mapping[str, AnyNoun] = {
    "postgresql:index/database:Database": Database(),
    "postgresql:index/role:Role": Role(),
    "postgresql:index/grantRole:GrantRole": GrantRole(),
    "postgresql:index/schema:Schema": Schema(),
    "postgresql:index/grant:Grant": Grant(),
    "postgresql:index/defaultPrivileges:DefaultPrivileges": DefaultPrivileges(),
}
# The first is seen on the server; the others mean nothing to psycopg.
IGNORED = ("superuser", "maxConnections", "expectedVersion", "version", "pluginDownloadURL", "__internal", "__defaults")


def check_config(news: Mapping[str, Any]) -> list[Failure]:
    """Return what is wrong with a provider resource's inputs."""
    reason = "the embedded engine connects by password or RDS IAM token; for this use the Pulumi CLI"
    known = (*CONFIG, IAM, *IAM_CONFIG, *IGNORED)
    failures = [Failure(name, reason) for name, value in news.items() if name not in known and value not in (None, "")]
    for name in ("port", "connectTimeout"):
        value = news.get(name)
        if value is not None and value is not UNKNOWN and not str(value).isdigit():
            failures.append(Failure(name, "it must be a whole number"))
    return failures


class PostgresqlProvider:
    """Implements `embedded.engine.provider.Provider`; connects on first use.

    Args:
        config: Inputs of the provider resource, secrets unwrapped; numbers and booleans may be JSON text.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._session = Session(config)

    def check(self, type_: str, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs and what is wrong with them; a default is left out, as the server has the same."""
        given = {name: value for name, value in news.items() if value is not None and name != "__defaults"}
        if type_ == CONFIG_TYPE:
            return given, check_config(given)
        return given, _noun(type_).check(given)

    def diff(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Return which properties differ; another server or login replaces nothing."""
        if type_ == CONFIG_TYPE:
            return Diff(tuple(sorted(key for key in {*old_inputs, *news} if old_inputs.get(key) != news.get(key))))
        changed = []
        properties = _noun(type_).properties
        for name, prop in properties.items():
            new = news.get(name)
            # What the server decides is not compared, unless the program decided it before and can be undone.
            if new is None and prop.open and (prop.kind != "set" or old_inputs.get(name) is None):
                continue
            if contains(new, Unknown) or not prop.same(old_inputs.get(name, old_outputs.get(name)), new):
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
        found = {name: value for name, value in inputs.items() if name not in live and name != "__defaults"}
        for name, value in live.items():
            prop, given = noun.properties[name], inputs.get(name)
            if given is not None:
                found[name] = given if prop.same(given, value) else value
            elif not prop.open and not prop.same(None, value):
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
        """Close the connections."""
        self._session.close()

    def _filled(self, type_: str, inputs: Values) -> tuple[AnyNoun, Values]:
        noun = _noun(type_)
        return noun, noun.filled(inputs, self._session.target.database)

    def _reaches(self, values: Values) -> bool:
        """Tell whether the database stands that a resource lies in."""
        return "database" not in values or self._session.has(values["database"])

    def _live(self, noun: AnyNoun, wanted: Values) -> Values | None:
        found = self._reaches(wanted)
        return self._run("read", noun, wanted, lambda connection: noun.read(connection, wanted)) if found else None

    def _apply(self, verb: str, noun: AnyNoun, old: Values | None, wanted: Values, *, resumed: bool = False) -> Values:
        self._run(verb, noun, old or wanted, lambda connection: noun.apply(connection, old, wanted, resumed=resumed))
        return _shown({**wanted, **(self._live(noun, wanted) or {})})

    def _run(self, verb: str, noun: AnyNoun, values: Values, work: Callable[[Connection], T]) -> T:
        if not noun.atomic and verb in {"change", "drop"}:
            self._session.forget(values["name"])  # a database is not dropped or renamed under our own session
        what, held = f"cannot {verb} {noun.title.format(**values)}", noun.held.format(**values)
        return self._session.run(what, work, database=values.get("database"), atomic=noun.atomic, held=held)


def _shown(values: Values) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _noun(type_: str) -> AnyNoun:
    if type_ not in NOUNS:
        raise ChatdbError(
            f"the embedded engine does not do resources of type {type_}",
            detail=f"of pulumi-postgresql it does {', '.join(name.rsplit(':', 1)[1] for name in NOUNS)}",
            hint="Use the Pulumi CLI for this program.",
            state="Nothing was changed.",
        )
    return NOUNS[type_]
