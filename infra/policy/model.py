"""The nouns of the policies: a stack, a resource as the program wants it, a rule, what breaks it. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

Level = Literal["advisory", "mandatory"]
"""Advisory is said and passes; mandatory stops a preview and an update before anything is done."""


class Stack(NamedTuple):
    """What the rules need to know of a stack.

    Attributes:
        name: Its name; empty where it is not known.
        production: Whether its settings mark it as production.
        destroy_confirmation: The phrase that allows its teardown, as its settings have it; empty where it is not given.
    """

    name: str
    production: bool = False
    destroy_confirmation: str = ""


class Resource(NamedTuple):
    """One resource as the program wants it.

    Attributes:
        type: Its type token.
        name: Its name.
        properties: Its inputs in plain; what is not known yet is left out.
        secret: Names of the properties that are secrets; None where the engine does not tell.
        protect: Whether it may not be deleted.
        ignored: The properties that stay as they were found, whatever the program asks: its ignoreChanges.
    """

    type: str
    name: str
    properties: Mapping[str, Any]
    secret: frozenset[str] | None = None
    protect: bool = False
    ignored: frozenset[str] = frozenset()


class Finding(NamedTuple):
    """What a rule found on a resource: what it is, and what to do; never a secret."""

    what: str
    hint: str


class Rule(NamedTuple):
    """One rule.

    Attributes:
        name: Its name, as the Pulumi CLI shows it.
        level: Whether it stops.
        reason: Why it is there, in one sentence.
        check: Yields what breaks it.
    """

    name: str
    level: Level
    reason: str
    check: Callable[[Resource, Stack], Iterator[Finding]]


class Violation(NamedTuple):
    """A rule that a resource breaks."""

    rule: Rule
    resource: Resource
    finding: Finding

    def __str__(self) -> str:
        return "\n".join([self.title, f"  DETAIL: {self.rule.reason}", f"  HINT: {self.finding.hint}"])

    @property
    def title(self) -> str:
        """Rule, resource and what it is, in one line."""
        return f"{self.rule.name}: {self.resource.name}: {self.finding.what}"
