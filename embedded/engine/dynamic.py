"""Dynamic resources: decode the provider object that the program serialised, and call it. Called by `registration`.

The same flow as `pulumi.dynamic.__main__`, which must never be imported: it begins to serve when it is.
"""

from __future__ import annotations

from typing import Any

from embedded.engine.provider import Diff, Failure, Values
from embedded.engine.steps import PROVIDER_KEY, differences
from embedded.engine.values import UNKNOWN, from_sdk, to_sdk
from embedded.settings import Config
from infra.errors import ChatdbError


class DynamicProvider:
    """All dynamic resources of a run.

    Args:
        config: The stack's settings: what `configure` of a provider object gets.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._objects: dict[str, Any] = {}

    def check(self, type_: str, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs as the provider object wants them."""
        result = self._object(news, olds).check(to_sdk(olds), to_sdk(news))
        return _kept(result.inputs, news), [Failure(item.property, item.reason) for item in result.failures or ()]

    def diff(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Return what the provider object says; where it leaves that open, compare the inputs."""
        result = self._object(news, old_outputs).diff(id_, to_sdk(old_outputs), to_sdk(news))
        changed = dict.fromkeys(change.root for change in differences(old_inputs, news))
        if result.changes is False or (
            result.changes is None and not changed and old_inputs.get(PROVIDER_KEY) == news[PROVIDER_KEY]
        ):
            return Diff()
        replaces = tuple(result.replaces or ())
        return Diff((*(changed or {PROVIDER_KEY: None}), *replaces), replaces, bool(result.delete_before_replace))

    def create(self, type_: str, inputs: Values, *, resumed: bool = False) -> tuple[str, Values]:
        """Make the resource."""
        result = self._object(inputs).create(to_sdk(inputs))
        return str(result.id), _kept(result.outs, inputs)

    def read(self, type_: str, id_: str, inputs: Values, outputs: Values) -> tuple[str | None, Values, Values]:
        """Return the resource as it is now."""
        props = outputs or inputs
        result = self._object(props).read(id_, to_sdk(props))
        if not result.id:
            return None, {}, {}
        now = inputs if result.inputs is None else _kept(result.inputs, props)
        return str(result.id), now, _kept(result.outs, props)

    def update(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Values:
        """Change the resource in place."""
        return _kept(self._object(news).update(id_, to_sdk(old_outputs), to_sdk(news)).outs, news)

    def delete(self, type_: str, id_: str, inputs: Values, outputs: Values) -> None:
        """Remove the resource."""
        props = outputs or inputs
        self._object(props).delete(id_, to_sdk(props))

    def close(self) -> None:
        """Nothing is held."""

    def _object(self, props: Values, olds: Values | None = None) -> Any:
        """Return the provider object, decoded and configured once; that of `olds` where it is not known yet."""
        text = olds[PROVIDER_KEY] if olds and props[PROVIDER_KEY] == UNKNOWN else props[PROVIDER_KEY]
        if text not in self._objects:
            import base64

            import dill
            from pulumi import dynamic
            from pulumi.runtime._serialization import _deserialize

            try:
                found = _deserialize(lambda: dill.loads(base64.b64decode(text)))  # noqa: S301 - our own state
            except (ImportError, AttributeError) as error:
                what, why = "the code of a dynamic resource cannot be found", f"the state names it: {error}"
                hint = "Put the module back in its place: modules that a state names are never renamed."
                raise ChatdbError(what, detail=why, hint=hint) from None
            found.configure(dynamic.ConfigureRequest(dynamic.Config(self._config.plain, self._config.project)))
            self._objects[text] = found
        return self._objects[text]


def _kept(values: Any, props: Values) -> Values:
    """Return what a provider object gave back, with the object itself beside it, where the SDK looks for it."""
    return {**from_sdk(values or {}), PROVIDER_KEY: props[PROVIDER_KEY]}
