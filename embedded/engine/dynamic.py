"""Dynamic resources: decode the provider object that the program serialised, and call it. Called by `executor`.

The same flow as `pulumi.dynamic.__main__`, which must never be imported: it begins to serve when it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedded.engine.provider import Diff, Failure, Values
from embedded.engine.steps import differences
from embedded.engine.values import UNKNOWN, from_sdk, transform
from infra.errors import ChatdbError

KEY = "__provider"


class DynamicProvider:
    """All dynamic resources of a run.

    Args:
        config: The stack's settings, secrets unwrapped: what `configure` of a provider object gets.
        project: Name of the project: the namespace of keys without one.
    """

    def __init__(self, config: Mapping[str, Any], project: str) -> None:
        self._config = dict(config)
        self._project = project
        self._objects: dict[str, Any] = {}

    def check(self, type_: str, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs as the provider object wants them."""
        result = self._object(news if news[KEY] is not UNKNOWN else olds).check(_sdk(olds), _sdk(news))
        inputs = {**from_sdk(result.inputs), KEY: news[KEY]}
        return inputs, [Failure(failure.property, failure.reason) for failure in result.failures or ()]

    def diff(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Return what the provider object says; where it leaves that open, compare the inputs."""
        result = self._object(news if news[KEY] is not UNKNOWN else old_outputs).diff(
            id_, _sdk(old_outputs), _sdk(news)
        )
        paths = [change.path for change in differences(old_inputs, news)]
        changed = dict.fromkeys(path.split(".")[0].split("[")[0] for path in paths)
        if result.changes is False or (result.changes is None and not changed and old_inputs.get(KEY) == news[KEY]):
            return Diff()
        replaces = tuple(result.replaces or ())
        return Diff((*(changed or {KEY: None}), *replaces), replaces, bool(result.delete_before_replace))

    def create(self, type_: str, inputs: Values, *, resumed: bool = False) -> tuple[str, Values]:
        """Make the resource."""
        result = self._object(inputs).create(_sdk(inputs))
        return str(result.id), {**from_sdk(result.outs or {}), KEY: inputs[KEY]}

    def read(self, type_: str, id_: str, inputs: Values, outputs: Values) -> tuple[str | None, Values, Values]:
        """Return the resource as it is now."""
        props = outputs or inputs
        result = self._object(props).read(id_, _sdk(props))
        if not result.id:
            return None, {}, {}
        now = inputs if result.inputs is None else {**from_sdk(result.inputs), KEY: props[KEY]}
        return str(result.id), now, {**from_sdk(result.outs or {}), KEY: props[KEY]}

    def update(self, type_: str, id_: str, old_inputs: Values, old_outputs: Values, news: Values) -> Values:
        """Change the resource in place."""
        result = self._object(news).update(id_, _sdk(old_outputs), _sdk(news))
        return {**from_sdk(result.outs or {}), KEY: news[KEY]}

    def delete(self, type_: str, id_: str, inputs: Values, outputs: Values) -> None:
        """Remove the resource."""
        props = outputs or inputs
        self._object(props).delete(id_, _sdk(props))

    def close(self) -> None:
        """Nothing is held."""

    def _object(self, props: Mapping[str, Any]) -> Any:
        """Return the provider object, decoded and configured once."""
        text = props[KEY]
        if text not in self._objects:
            import base64

            import dill
            from pulumi.dynamic import Config, ConfigureRequest
            from pulumi.runtime._serialization import _deserialize

            try:
                found = _deserialize(lambda: dill.loads(base64.b64decode(text)))  # noqa: S301 - our own state
            except (ImportError, AttributeError) as error:
                raise ChatdbError(
                    "the code of a dynamic resource cannot be found",
                    detail=f"the state names it: {error}",
                    hint="Put the module back in its place: modules that a state names are never renamed.",
                ) from None
            found.configure(ConfigureRequest(Config(raw_config=self._config, project_name=self._project)))
            self._objects[text] = found
        return self._objects[text]


def _sdk(values: Any) -> Any:
    """Return a copy with the SDK's own mark for what is not known."""
    from pulumi.output import UNKNOWN as UNKNOWN_IN_SDK

    return transform(values, unknown=lambda: UNKNOWN_IN_SDK)
