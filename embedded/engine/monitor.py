"""The monitor and the engine that Pulumi's SDK talks to, as plain objects. Called by the SDK, for the program.

Each method takes the SDK's request, refuses what is not done by name, and hands a `steps.Goal` to `registration`, one
at a time. An exception raised here ends the program; a resource that fails is answered as failed, and the rest go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import engine_pb2, resource_pb2

from embedded.engine.errors import NotDoneError
from embedded.engine.registration import Registrar
from embedded.engine.steps import DECIDED, STACK_REFERENCE, Goal, is_provider, package_of
from embedded.engine.values import received, to_struct
from embedded.events import Phase, Report, StepEvent
from embedded.settings import Config
from infra.errors import ChatdbError

PACKAGES: Final = ("postgresql", "pulumi-python")
FEATURES: Final = [
    resource_pb2.ResourceMonitorFeature.Value(f"RESOURCE_MONITOR_FEATURE_{name}")
    for name in ("SECRETS", "RESOURCE_REFERENCES", "ALIAS_SPECS", "DELETED_WITH")
]
# The phase of an event for each severity of a message; debug messages are not told.
PHASES: Final[dict[int, Phase]] = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}
# What else a request says that is heeded here, or changes nothing; whatever is in none of these is refused by name.
HEEDED: Final = {
    *("name", "version", "object", "aliases", "deleteBeforeReplace", "deleteBeforeReplaceDefined", "aliasSpecs"),
    *("acceptSecrets", "acceptResources", "supportsPartialValues", "supportsResultReporting", "providers"),
    *("sourcePosition", "stackTrace", "parentStackTraceHandle", "pluginDownloadURL", "pluginChecksums"),
}
NAMES: Final = {"remote": "a remote component", "importId": "the option `import`"}


class Monitor:
    """Answers the SDK as Pulumi's resource monitor and, for messages, its engine do."""

    def __init__(self, registrar: Registrar, config: Config, report: Report) -> None:
        self._registrar, self._config, self._report = registrar, config, report
        self._turn = threading.Lock()
        self._closed = False

    @property
    def registrar(self) -> Registrar:
        """What takes the registrations.

        Raises:
            ChatdbError: The program has failed: nothing more is taken.
        """
        if self._closed:
            raise ChatdbError("the program has ended", detail="it failed before this resource was registered")
        return self._registrar

    def close(self) -> None:
        """Refuse whatever the program still asks for: it has failed."""
        self._closed = True

    def GetDeploymentInfo(self, request: Empty) -> resource_pb2.DeploymentInfo:
        """Tell what this monitor does."""
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> resource_pb2.RegisterResourceResponse:
        """Bring one resource to what the program wants."""
        goal = _goal(request)
        refused = [_option(field) for field in sorted(goal.keys() - HEEDED - {*DECIDED}) if goal[field] != {}]
        paths = [path for path in goal.get("ignoreChanges", ()) if not path.isidentifier()]
        refused += [f"the path {path} in the option `ignore_changes`" for path in paths]
        if request.custom and (package := package_of(request.type)) not in PACKAGES:
            refused.append(f"a resource of package {package}")
        if refused:
            raise NotDoneError(refused[0], detail=f"{request.type} {request.name} asks for it")
        with self._turn:
            done = self.registrar.register(self._with_provider(goal))
        if done is None:
            urn = self._registrar.urn_of(goal)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        outputs = to_struct(done.get("outputs", {}))
        return resource_pb2.RegisterResourceResponse(urn=done["urn"], id=done.get("id", ""), object=outputs)

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:
        """Read a StackReference; nothing else is read by a program here."""
        if request.type != STACK_REFERENCE:
            raise NotDoneError("reading an existing resource", detail=f"{request.type} {request.name}")
        goal = _goal(request) | {"custom": True, "external": True, "version": ""}
        with self._turn:
            done = self.registrar.read(self._with_provider(goal), request.id)
        return resource_pb2.ReadResourceResponse(urn=done["urn"], id=done["id"], properties=to_struct(done["outputs"]))

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Empty:
        """Record the outputs of a component or of the stack."""
        with self._turn:
            self.registrar.outputs(request.urn, received(MessageToDict(request.outputs)))
        return Empty()

    def SignalAndWaitForShutdown(self, request: Empty) -> Empty:
        """Let the program end."""
        return Empty()

    def Log(self, request: engine_pb2.LogRequest) -> Empty:
        """Hand a message of the program on."""
        phase = PHASES.get(request.severity)
        if phase and not request.ephemeral:
            self._report(StepEvent(operation="log", phase=phase, urn=request.urn, message=request.message))
        return Empty()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Refuse the rest of the protocol by name."""
        if not name[0].isupper():
            raise AttributeError(name)

        def refuse(request: Any = None) -> Any:
            token = getattr(request, "tok", "")
            raise NotDoneError(f"{name} {token}".strip(), detail=f"the program calls {token or name}")

        return refuse

    def _with_provider(self, goal: Goal) -> Goal:
        """Return the goal with its provider: the one it names, or its package's default one, registered first."""
        package, version, values = package_of(goal["type"]), goal.get("version", ""), self._config.values
        versioned = {"version": version} if version else {}
        if is_provider(goal):
            return {**goal, "inputs": {**goal["inputs"], **versioned}}
        if not goal.get("custom") or goal.get("provider"):
            return goal
        name = f"default_{version.replace('.', '_')}" if version else "default"
        own = {key.split(":", 1)[1]: value for key, value in values.items() if key.startswith("postgresql:")}
        inputs = {"postgresql": own | versioned, "pulumi-python": dict(values)}.get(package, {})
        default = Goal(type=f"pulumi:providers:{package}", name=name, custom=True, inputs=inputs)
        urn = self.registrar.urn_of(default)
        found = self.registrar.work.news.get(urn) or self.registrar.register(default)
        return {**goal, "provider": f"{urn}::{found['id']}"} if found else goal


def _goal(request: resource_pb2.RegisterResourceRequest | resource_pb2.ReadResourceRequest) -> Goal:
    """Return what a request asks for: its fields that are set, with those that the engine reads in its own form."""
    goal: Goal = {"custom": False, **MessageToDict(request)}
    urns = {key: sorted(deps.get("urns", ())) for key, deps in sorted(goal.get("propertyDependencies", {}).items())}
    return goal | {
        "inputs": received(goal.get("object") or goal.get("properties") or {}),
        "dependencies": sorted(request.dependencies),
        "propertyDependencies": urns,
        "aliases": getattr(request, "aliases", ()),
    }


def _option(field: str) -> str:
    """Return what a field of a request is called in a program."""
    spelled = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)
    return NAMES.get(field, f"the option `{spelled}`")
