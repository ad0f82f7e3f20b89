"""What one run holds: the old and the new resources, the providers, what is told. Called by every part of a run.

The state is saved before and after each operation; a preview goes the same way without operations and without saves.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from embedded.engine import steps
from embedded.engine.errors import ResourceError, in_words
from embedded.engine.provider import Provider
from embedded.engine.stack import Stack
from embedded.engine.state import Snapshot
from embedded.engine.steps import Changes, Resource
from embedded.engine.values import Secret, is_known, mark_secrets, mask, unwrap
from embedded.events import Operation, Phase, Report, StepEvent
from infra.errors import ChatdbError

# What an operation is called while it is under way.
PENDING = {"create": "creating", "replace": "creating", "update": "updating", "delete": "deleting"}


class Work:
    """One run over one stack.

    Args:
        stack: The stack. Its state is read when it is first asked for: the key is derived beside the program's imports.
        dry: Whether this is a preview.
        report: Told each step.

    Attributes:
        news: The resources as they are now, by URN, in order.
        failed: URNs of what failed, and of what was left out for it.
    """

    def __init__(self, stack: Stack, *, dry: bool, report: Report) -> None:
        self.stack, self.dry, self._report = stack, dry, report
        self.news: dict[str, Resource] = {}
        self.failed: set[str] = set()
        self.errors: list[ChatdbError] = []
        self.counts: dict[str, int] = {}
        self._pending: list[tuple[Resource, str]] = []
        self._doing: Operation = "check"
        self._providers: dict[str, Provider | None] = {}

    @functools.cached_property
    def left(self) -> list[Resource]:
        """What is still in the state as it was, in order."""
        return list(self.stack.snapshot.resources)

    @functools.cached_property
    def olds(self) -> dict[str, Resource]:
        """The resources as they were, by URN, but for those that wait to be deleted."""
        return {item["urn"]: item for item in self.stack.snapshot.resources if not item.get("delete")}

    def interrupted(self, urn: str, kind: str) -> bool:
        """Tell whether a killed run did not end an operation on a resource."""
        return any((item["urn"], doing) == (urn, kind) for item, doing in self.stack.snapshot.pending)

    def snapshot(self) -> Snapshot:
        """Return the stack as it is now."""
        return Snapshot([*self.news.values(), *self.left], list(self._pending))

    def save(self) -> None:
        """Put the stack as it is now on the disk."""
        if not self.dry:
            self.stack.save(self.snapshot())

    def put(self, old: Resource | None, new: Resource) -> None:
        """Take a resource as it is now into the state, in the place of the old one."""
        if old is not None:
            self.swap(old, None)
        self.news[new["urn"]] = new if new is old else steps.without_blanks(new)

    def swap(self, old: Resource, new: Resource | None) -> None:
        """Put another object in the place of one that is left; None takes it out."""
        self.left = [new if item is old else item for item in self.left if item is not old or new is not None]  # type: ignore[misc]
        if new is not None and self.olds.get(old["urn"]) is old:
            self.olds[old["urn"]] = new

    def keep_outputs(self) -> None:
        """Leave the stack its outputs: a program that failed has exported as far as it came, which may be nothing."""
        for urn, item in self.news.items():
            if item["type"] == steps.STACK_TYPE and urn in self.olds:
                self.news[urn] = steps.without_blanks({**item, "outputs": self.olds[urn].get("outputs", {})})

    def rename(self, old: str, new: str) -> None:
        """Give a resource its new URN, everywhere it is mentioned."""
        renamed = {id(item): steps.rename(item, old, new) for item in self.left}
        self.olds = {new if urn == old else urn: renamed.get(id(item), item) for urn, item in self.olds.items()}
        self.left = [renamed[id(item)] for item in self.left]

    def provider_of(self, resource: Resource) -> Provider | None:
        """Return the provider of a resource; None for components, providers, and where it is not known yet."""
        urn = steps.provider_urn(resource.get("provider", ""))
        if not urn or resource["type"] == steps.STACK_REFERENCE:
            return None
        if urn not in self._providers:
            declared = self.news.get(urn) or self.olds.get(urn)
            if declared is None:
                raise ResourceError("its provider is not there", detail=urn, hint="Declare it before its resources.")
            inputs = declared.get("inputs", {})
            package = steps.package_of(declared["type"])
            self._providers[urn] = self.stack.provider(package, unwrap(inputs)) if is_known(inputs) else None
        return self._providers[urn]

    def marked(self, outputs: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
        """Return the outputs with their secrets marked: as the inputs are, and as `additionalSecretOutputs` asks."""
        asked = dict.fromkeys(resource.get("additionalSecretOutputs", ()), Secret(None))
        return mark_secrets(mark_secrets(outputs, resource.get("inputs", {})), asked)

    @contextmanager
    def step(self, kind: Operation, item: Resource, changes: Changes = (), *, counted: bool = True) -> Iterator[None]:
        """Save and report around one operation of a provider."""
        began = time.monotonic()
        if self.dry or not item["custom"] or steps.is_provider(item):
            yield
        else:
            self._pending = [(dict(item), PENDING[kind])]
            self.save()
            self._doing = kind
            self._tell(kind, "start", item, changes=changes)
            try:
                yield
            finally:
                # How far an interrupted one came is not known: it stays among the pending operations.
                if not isinstance(sys.exception(), KeyboardInterrupt):
                    self._pending = []
                self.save()
        self.told(kind, item, changes, counted=counted, took=time.monotonic() - began)

    def told(
        self, kind: Operation, item: Resource, changes: Changes = (), *, counted: bool = True, took: float = 0
    ) -> None:
        """Report and count what was done or, in a preview, would be; default providers are the engine's own."""
        self._doing = "check"
        if steps.is_provider(item) and steps.name_of(item["urn"]).startswith("default"):
            return
        if counted:
            self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind != "same":
            self._tell(kind, "planned" if self.dry else "done", item, changes=changes, seconds=took)

    def fail(self, resource: Resource, error: Exception) -> None:
        """Keep the error of a resource; what depends on it will be left out, the rest goes on."""
        self.failed.add(resource["urn"])
        self.errors.append(in_words(error, resource["type"], steps.name_of(resource["urn"])))
        self._tell(self._doing, "failed", resource, message=str(self.errors[-1]))

    def close(self) -> None:
        """Let go of the providers' connections."""
        for provider in self._providers.values():
            if provider is not None:
                provider.close()

    def _tell(self, kind: Operation, phase: Phase, resource: Resource, **more: Any) -> None:
        urn, inputs = resource["urn"], mask(resource.get("inputs", {}))
        about: dict[str, Any] = {"urn": urn, "type": resource["type"], "name": steps.name_of(urn), "inputs": inputs}
        self._report(StepEvent(operation=kind, phase=phase, **about, **more))
