"""What the engine asks of a provider, and the answers. Pure types; implemented by `dynamic` and `postgresql`.

Values are plain Python: secrets unwrapped; `values.UNKNOWN` may stand anywhere in the `news` of `check` and `diff`: in
a preview, and where the engine asks what a replaced resource would change in those that depend on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

Values = dict[str, Any]


class Diff(NamedTuple):
    """What separates a resource from what the program wants.

    Attributes:
        changed: Names of the properties that differ; empty where nothing is to be done.
        replaces: Those of them that cannot be updated in place.
        delete_before_replace: Whether the old one must go before a new one can be made.
    """

    changed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False


class Failure(NamedTuple):
    """A property that cannot be used as given.

    Attributes:
        property: Its name; empty where it is the whole resource.
        reason: The sentence for the user.
    """

    property: str
    reason: str


class Provider(Protocol):
    """Makes and mends resources of one package. Raises `infra.errors.ChatdbError` where that fails."""

    def check(self, type_: str, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs to use, defaults filled in, and what is wrong with them."""

    def diff(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Return what separates the resource from the checked inputs."""

    def create(self, type_: str, inputs: Values, *, resumed: bool = False) -> tuple[str, Values]:
        """Make the resource and return its id and outputs; `resumed`: an interrupted run may have made it already."""

    def read(self, type_: str, id_: str, inputs: Values, outputs: Values) -> tuple[str | None, Values, Values]:
        """Return id, inputs and outputs as they are now; `(None, {}, {})` where it is gone."""

    def update(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Values:
        """Change the resource in place; return its outputs."""

    def delete(self, type_: str, id_: str, inputs: Values, outputs: Values) -> None:
        """Remove the resource; what is gone already is no error."""

    def close(self) -> None:
        """Let go of connections; called once at the end of a run."""
