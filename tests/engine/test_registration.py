"""Registrations against a provider that only notes what it is asked: what the engine asks, and what it makes of it."""

from __future__ import annotations

from typing import Any

from embedded.engine import standing
from embedded.engine.provider import Diff, Failure, Values
from embedded.engine.registration import Registrar
from embedded.engine.stack import Stack
from embedded.engine.state import Snapshot
from embedded.engine.steps import Goal, Resource
from embedded.engine.values import UNKNOWN, Secret, has_secret
from embedded.engine.work import Work
from embedded.settings import Config

PROVIDER = "pulumi:providers:postgresql"
ROLE = "postgresql:index/role:Role"


class Notes:
    """A provider that does nothing but note; `name` cannot be changed in place."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def check(self, type_: str, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        return news, [Failure("name", "bad\nDETAIL: why\nHINT: what")] if news.get("name") == "bad" else []

    def diff(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        changed = tuple(key for key in news if old_inputs.get(key) != news[key])
        return Diff(changed, tuple(key for key in changed if key == "name"), delete_before_replace=True)

    def create(self, type_: str, inputs: Values, *, resumed: bool = False) -> tuple[str, Values]:
        self.asked.append(("create", inputs["name"], resumed))
        return f"id-{inputs['name']}", {**inputs, "made": True}

    def read(self, type_: str, id_: str, inputs: Values, outputs: Values) -> tuple[str | None, Values, Values]:
        return id_, inputs, outputs

    def update(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Values:
        self.asked.append(("update", old_inputs, news))
        return {**news, "made": True}

    def delete(self, type_: str, id_: str, inputs: Values, outputs: Values) -> None:
        self.asked.append(("delete", id_))

    def close(self) -> None:
        self.asked.append(("close",))


class Stand(Stack):
    """A stack of one explicit provider and its roles, run after run; in memory."""

    name, config, snapshot = "s", Config("p", {}), Snapshot()

    def __init__(self) -> None:
        self.notes = Notes()
        self.configs: list[dict[str, Any]] = []
        self.saves: list[Snapshot] = []

    def provider(self, package: str, inputs: dict[str, Any]) -> Notes:
        """Note what the provider is made with."""
        self.configs.append(inputs)
        return self.notes

    def save(self, snapshot: Snapshot) -> None:
        """Note what would be on the disk."""
        self.saves.append(snapshot)

    def run(self, config: dict[str, Any], *roles: dict[str, Any], dry: bool = False) -> Work:
        """Register the provider and the roles, then delete the rest; return the run."""
        self.notes.asked.clear()
        work = Work(self, dry=dry, report=lambda _event: None)
        registrar = Registrar(work)
        declared = Goal(type=PROVIDER, name="server", custom=True, inputs=config)
        made = registrar.register(declared)
        reference = f"{registrar.urn_of(declared)}::{made['id'] if made else UNKNOWN}"
        for inputs in roles:
            name = str(inputs["name"]).split("@", maxsplit=1)[0]
            registrar.register(Goal(type=ROLE, name=name, custom=True, inputs=inputs, provider=reference))
        if not work.errors:
            standing.delete_the_rest(work)
        if not dry:
            self.snapshot = work.snapshot()
        return work

    def resource(self, name: str) -> Resource:
        """Return a resource of the stack."""
        return next(item for item in self.snapshot.resources if item["urn"].endswith(f"::{name}"))


def test_a_changed_explicit_provider_replaces_nothing() -> None:
    """It is updated, keeps its id, and its resources are what they were; the new login is used from then on."""
    stand = Stand()
    stand.run({"host": "here", "password": Secret("one")}, {"name": "r"})
    before = stand.resource("server")["id"]
    work = stand.run({"host": "here", "password": Secret("two")}, {"name": "r"})
    assert work.counts == {"update": 1, "same": 1}
    assert stand.notes.asked == []
    assert stand.resource("server")["id"] == before
    assert stand.configs[-1] == {"host": "here", "password": "two"}


def test_a_provider_whose_settings_are_not_known_yet_is_not_asked() -> None:
    """In a preview before there is a server: everything is planned, nothing is connected to."""
    stand = Stand()
    work = stand.run({"host": UNKNOWN}, {"name": "r"}, dry=True)
    assert work.counts == {"create": 2}
    assert stand.configs == []


def test_an_interrupted_create_is_resumed() -> None:
    """The provider is told that what stands may be an earlier run's work."""
    stand = Stand()
    stand.run({"host": "here"}, {"name": "r"})
    pending = stand.resource("r")
    stand.snapshot = Snapshot([stand.resource("server")], [(pending, "creating")])
    stand.run({"host": "here"}, {"name": "r"})
    assert stand.notes.asked == [("create", "r", True)]


def test_the_state_is_saved_before_and_after_each_operation() -> None:
    """Before: what is under way stands among the pending operations. After: the resource stands in the state."""
    stand = Stand()
    stand.run({"host": "here"}, {"name": "r"})
    assert [[kind for _, kind in saved.pending] for saved in stand.saves] == [["creating"], []]
    assert [len(saved.resources) for saved in stand.saves] == [1, 2]


def test_one_urn_never_stands_twice_in_a_saved_state() -> None:
    """Also while a replacement is going on: one of two is marked as deleted or as to be made again."""
    stand = Stand()
    stand.run({"host": "here"}, {"name": "r@1"})
    stand.run({"host": "here"}, {"name": "r@2"})
    assert [entry[0] for entry in stand.notes.asked] == ["delete", "create"]
    for saved in stand.saves:
        urns = [item["urn"] for item in saved.resources if not item.get("delete")]
        assert len(urns) == len(set(urns))


def test_secret_inputs_are_secret_outputs() -> None:
    """A provider sees plain values and gives plain values back; the marks are put on again."""
    stand = Stand()
    stand.run({"host": "here"}, {"name": "r", "password": Secret("hush")})
    assert stand.resource("r")["outputs"] == {"name": "r", "password": Secret("hush"), "made": True}
    stand.run({"host": "here"}, {"name": "r", "password": Secret("other")})
    assert stand.notes.asked == [
        ("update", {"name": "r", "password": "hush"}, {"name": "r", "password": "other"}),
    ]
    assert has_secret(stand.resource("r")["outputs"])


def test_a_check_failure_keeps_the_parts_of_its_text() -> None:
    """What a provider words in three parts is an error of three parts."""
    work = Stand().run({"host": "here"}, {"name": "bad"}, dry=True)
    assert [(error.message, error.detail, error.hint) for error in work.errors] == [
        ("Role bad: name: bad", "why", "what")
    ]


def test_an_unknown_property_of_the_explicit_provider_is_refused() -> None:
    """What the provider of this engine does not do is a failure of its declaration, and its resources are left out."""
    work = Stand().run({"host": "here", "azureIdentityAuth": "true"}, {"name": "r"}, dry=True)
    assert [error.message.split(": ")[:2] for error in work.errors] == [["postgresql server", "azureIdentityAuth"]]
    assert work.counts == {}
