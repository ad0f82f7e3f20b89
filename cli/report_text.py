"""Write the previews of some stacks as one Markdown text, for the comment on a pull request. Pure; called by `report`.

Product by product: what is pending where, the SQL of each pending file in full and once, who gains and loses which
right, whatever else changes; then what the linter finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cli.display import (
    PENDING_KEY,
    REVIEW,
    REVIEW_KEYS,
    SIGNS,
    SQL_KEY,
    change_text,
    counts_text,
    pending_files,
    short_type,
)
from embedded.events import StepEvent
from infra.errors import ChatdbError
from infra.migrations.rules import Finding

# GitHub's own limit for a comment is 65,536 characters.
LONGEST = 65_000
CUT = "\n\n…cut here: a comment holds no more. The whole report is in the summary of the run.\n"
OTHER = "The stack itself"


class Preview(NamedTuple):
    """What an update of a stack would do.

    Attributes:
        stack: Its name.
        events: Each change, in its order.
        warnings: What was warned of.
        error: Why it would be refused; None where it would not.
    """

    stack: str
    events: Sequence[StepEvent] = ()
    warnings: Sequence[str] = ()
    error: ChatdbError | None = None


def markdown(previews: Sequence[Preview], products: Sequence[str], findings: Mapping[str, Sequence[Finding]]) -> str:
    """Return the text.

    Args:
        previews: One of each stack.
        products: Names of all products.
        findings: What the linter finds in a product's migrations.
    """
    parts = [f"## What this changes on {' and '.join(preview.stack for preview in previews)}\n"]
    parts.extend(_summary(preview) for preview in previews)
    for name in [*products, OTHER]:
        mine = {
            preview.stack: [one for one in preview.events if _product(one, products) == name] for preview in previews
        }
        if any(mine.values()):
            parts.append(f"\n### {name}\n")
            parts.extend(_section(mine))
    parts.append(f"\n### Lint\n\n{_lint(findings)}")
    return "".join(parts)


def comment(text: str) -> str:
    """Return a text as a comment can hold it, with a mark where it had to be cut."""
    return text if len(text) <= LONGEST else text[: LONGEST - len(CUT)] + CUT


def _summary(preview: Preview) -> str:
    counts = {kind: sum(one.operation == kind for one in preview.events) for kind in SIGNS}
    said = counts_text(counts) or "nothing to do"
    lines = [f"\n**{preview.stack}**: would be {said}\n" if counts_text(counts) else f"\n**{preview.stack}**: {said}\n"]
    if preview.error is not None:
        lines = [f"\n**{preview.stack}**: refused\n\n{_fenced(str(preview.error), 'text')}"]
    lines += [f"\n> {_plain(line)}\n" for warning in preview.warnings for line in warning.splitlines()[:1]]
    return "".join(lines)


def _product(event: StepEvent, products: Sequence[str]) -> str:
    return next((name for name in products if event.name == name or event.name.startswith(f"{name}-")), OTHER)


def _section(mine: Mapping[str, Sequence[StepEvent]]) -> Iterator[str]:
    """Yield what changes of one product on each stack, then the SQL of all."""
    files: dict[str, list[str]] = {}
    for stack, events in mine.items():
        for event in events:
            names, texts = pending_files(event)
            files.update({name: texts.get(name, []) for name in names})
            if names:
                yield f"\n{stack}, pending: {', '.join(f'`{name}`' for name in names)}\n"
        yield from _listed(f"{stack}, access", [line for one in events for line in _access(one)])
        yield from _listed(f"{stack}, resources", [line for one in events for line in _other(one)])
    for name, lines in sorted(files.items()):
        text = "\n".join(lines).strip("\n")
        yield f"\n<details open><summary>{name}.sql</summary>\n\n{_fenced(text, 'sql')}\n</details>\n"


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}:\n\n" + "".join(f"- {_plain(line)}\n" for line in lines)


def _access(event: StepEvent) -> list[str]:
    return list(event.inputs.get("changes") or ()) if REVIEW in event.type else []


def _other(event: StepEvent) -> Iterator[str]:
    """Yield a line for a resource, with what changes in it where it is there already."""
    apart = (SQL_KEY, PENDING_KEY, "__provider", *(REVIEW_KEYS if REVIEW in event.type else ()))
    changes = [change for change in event.changes if not change.path.startswith(apart)]
    shown = "; ".join(f"{change.path}: {change_text(change.old, change.new)}" for change in changes)
    detail = f": {shown}" if shown and event.operation in ("update", "replace") else ""
    yield f"{SIGNS[event.operation][0]} {event.name} {short_type(event.type)}{detail}"


def _lint(findings: Mapping[str, Sequence[Finding]]) -> str:
    lines = [f"- {_plain(f'{name}: {finding}')}\n" for name, found in findings.items() for finding in found]
    return "".join(lines) or "No finding.\n"


def _fenced(text: str, language: str) -> str:
    """Return a text in a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def _plain(text: str) -> str:
    """Return a line whose signs Markdown does not take for its own."""
    return re.sub(r"([\\`*<>|\[\]])", r"\\\1", text)
