"""The monitor and the engine that Pulumi's SDK talks to, as plain objects. Called by the SDK, for the program.

Each method takes the SDK's request, refuses what is not done by name, and hands a `steps.Goal` to `registration`, one
at a time. An exception raised here ends the program; a resource that fails is answered as failed, and the rest go on.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import engine_pb2, resource_pb2

from embedded.engine.config import Config
from embedded.engine.errors import NotDoneError
from embedded.engine.events import Report, StepEvent
from embedded.engine.registration import Registrar
from embedded.engine.steps import STACK_REFERENCE, Goal, package_of
from embedded.engine.values import UNKNOWN, from_struct, to_struct
from infra.errors import ChatdbError

PACKAGES: Final = ("postgresql", "pulumi-python")
FEATURES: Final = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
)
# Fields of a request that ask for what is not done, and its name.
_REFUSED: Final = (
    ("remote", "a remote component"),
    ("importId", "the option `import`"),
    ("replaceOnChanges", "the option `replace_on_changes`"),
    ("replace_with", "the option `replace_with`"),
    ("transforms", "a transform"),
    ("state_migrations", "a state migration"),
    ("packageRef", "a parameterized package"),
)


class Monitor:
    """Answers the SDK as Pulumi's resource monitor does."""

    def __init__(self, start: Callable[[], Registrar], config: Config) -> None:
        self._start = start
        self._config = config
        self._turn = threading.Lock()
        self._closed = False

    @functools.cached_property
    def registrar(self) -> Registrar:
        """What takes the registrations; made with the first, so that the state is read beside the program's imports."""
        return self._start()

    def close(self) -> None:
        """Refuse whatever the program still asks for: it has failed."""
        self._closed = True

    def GetDeploymentInfo(self, request: Empty) -> resource_pb2.DeploymentInfo:  # noqa: N802
        """Tell what this monitor does."""
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Bring one resource to what the program wants."""
        for field, what in _REFUSED:
            if getattr(request, field):
                raise NotDoneError(what, detail=f"{request.type} {request.name} asks for it")
        if request.HasField("replacement_trigger") or _hooked(request):
            raise NotDoneError("a hook or replacement trigger", detail=f"{request.type} {request.name} asks for it")
        if request.custom and package_of(request.type) not in PACKAGES:
            raise NotDoneError(
                f"a resource of package {package_of(request.type)}", detail=f"{request.type} {request.name}"
            )
        goal = Goal(
            type=request.type,
            name=request.name,
            custom=request.custom,
            inputs=_without_none(from_struct(request.object)),
            parent=request.parent,
            provider=request.provider,
            dependencies=tuple(sorted(request.dependencies)),
            property_dependencies={
                key: sorted(deps.urns) for key, deps in sorted(request.propertyDependencies.items())
            },
            protect=request.protect if request.HasField("protect") else None,
            retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
            deleted_with=request.deletedWith,
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            ignore_changes=tuple(request.ignoreChanges),
            secret_outputs=tuple(request.additionalSecretOutputs),
            aliases=tuple(request.aliases),
        )
        with self._own_turn():
            done = self.registrar.register(self._with_provider(goal, request.version))
        if done is None:
            urn = self.registrar.urn_of(goal)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        return resource_pb2.RegisterResourceResponse(
            urn=done["urn"], id=done.get("id", ""), object=to_struct(done.get("outputs", {}))
        )

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:  # noqa: N802
        """Read a StackReference; nothing else is read by a program here."""
        if request.type != STACK_REFERENCE:
            raise NotDoneError("reading an existing resource", detail=f"{request.type} {request.name}")
        goal = Goal(
            type=request.type,
            name=request.name,
            custom=True,
            inputs=_without_none(from_struct(request.properties)),
            parent=request.parent,
            dependencies=tuple(sorted(request.dependencies)),
            external=True,
        )
        with self._own_turn():
            done = self.registrar.read(self._with_provider(goal, ""), request.id)
        return resource_pb2.ReadResourceResponse(urn=done["urn"], id=done["id"], properties=to_struct(done["outputs"]))

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Empty:  # noqa: N802
        """Record the outputs of a component or of the stack."""
        with self._own_turn():
            self.registrar.outputs(request.urn, _without_none(from_struct(request.outputs)))
        return Empty()

    def SignalAndWaitForShutdown(self, request: Empty) -> Empty:  # noqa: N802
        """Let the program end."""
        return Empty()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Refuse the rest of the protocol by name."""
        if not name[0].isupper():
            raise AttributeError(name)

        def refuse(request: Any = None) -> Any:
            token = getattr(request, "tok", "")
            raise NotDoneError(f"{name} {token}".strip(), detail=f"the program calls {token or name}")

        return refuse

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        with self._turn:
            if self._closed:
                raise ChatdbError("the program has ended", detail="it failed before this resource was registered")
            yield

    def _with_provider(self, goal: Goal, version: str) -> Goal:
        """Return the goal with its provider: the one it names, or its package's default one, registered first."""
        if goal.type.startswith("pulumi:providers:"):
            return replace(goal, inputs={**goal.inputs, "version": version} if version else goal.inputs)
        if not goal.custom or goal.provider:
            return goal
        package = package_of(goal.type)
        name = f"default_{version.replace('.', '_')}" if version else "default"
        values = self._config.values
        inputs = dict(values) if package == "pulumi-python" else {}
        if package == "postgresql":
            inputs = {key.split(":", 1)[1]: item for key, item in values.items() if key.startswith(f"{package}:")}
            inputs["version"] = version
        default = Goal(type=f"pulumi:providers:{package}", name=name, custom=True, inputs=inputs)
        urn = self.registrar.urn_of(default)
        found = self.registrar.work.news.get(urn) or self.registrar.register(default)
        return replace(goal, provider=f"{urn}::{found['id']}") if found else goal


class EngineLog:
    """Answers the SDK as Pulumi's engine does: takes messages, remembers the root resource."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._root = ""

    def Log(self, request: engine_pb2.LogRequest) -> Empty:  # noqa: N802
        """Hand a message of the program on."""
        phases = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}
        if request.severity in phases and not request.ephemeral:
            phase: Any = phases[request.severity]
            self._report(StepEvent(operation="log", phase=phase, urn=request.urn, message=request.message))
        return Empty()

    def GetRootResource(self, request: Any) -> engine_pb2.GetRootResourceResponse:  # noqa: N802
        """Return the stack's URN."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: engine_pb2.SetRootResourceRequest) -> engine_pb2.SetRootResourceResponse:  # noqa: N802
        """Remember the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any) -> engine_pb2.RequirePulumiVersionResponse:  # noqa: N802
        """Every version will do: what is not done is refused by name."""
        return engine_pb2.RequirePulumiVersionResponse()


def _hooked(request: resource_pb2.RegisterResourceRequest) -> bool:
    return any(values for _, values in request.hooks.ListFields())


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """Return the properties without those that are None: the official engine drops them."""
    return {key: value for key, value in values.items() if value is not None or value is UNKNOWN}
