"""`chatdb report`: what an update of some stacks would do, as one Markdown text for a pull request.

The previews are those of `chatdb preview --unreleased`, on whichever engine has each stack. One that is refused stands
in the report with its reason, and the report is written all the same; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from cli import planned, report_text, stacks
from cli.context import DEFAULT_STACK
from cli.report_text import Preview
from embedded.events import StepEvent
from infra import products
from infra.errors import ChatdbError
from infra.migrations import directory, linting
from infra.promotion import UNRELEASED


def report(options: argparse.Namespace) -> int:
    """Write the report and return 1 where a stack would refuse, or the linter finds something."""
    os.environ[UNRELEASED] = "yes"
    previews = [_preview(stack, options) for stack in options.stack or [DEFAULT_STACK]]
    names = products.names()
    findings = {name: linting.check(directory.read(products.load(name).migrations_folder)) for name in names}
    text = report_text.markdown(previews, names, findings)
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    if options.comment:
        Path(options.comment).write_text(report_text.comment(text), encoding="utf-8")
    refused = {preview.stack: preview.error.as_dict() for preview in previews if preview.error}
    if options.json:
        count = sum(map(len, findings.values()))
        print(json.dumps({"markdown": text, "refused": refused, "findings": count}, ensure_ascii=False))
    elif not (options.out or options.comment):
        print(text, end="")
    return 1 if refused or any(findings.values()) else 0


def _preview(stack: str, options: argparse.Namespace) -> Preview:
    """Return what an update of a stack would do, or why it would be refused."""
    warnings: list[str] = []

    def take(event: StepEvent) -> None:
        if event.phase == "warning":
            warnings.append(event.message)

    try:
        engine = stacks.begin(argparse.Namespace(engine=options.engine), stack)
        return Preview(stack, planned.plan(engine, stack, take), warnings)
    except ChatdbError as error:
        return Preview(stack, warnings=warnings, error=error)
