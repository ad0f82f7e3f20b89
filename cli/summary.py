"""What there is after `up`: per product its version, tables, verification and how to connect."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from cli.engines import stack_outputs
from cli.targets import from_outputs
from infra import products, verification
from infra.connection import connect


def show(stack: str, options: argparse.Namespace) -> int:
    """Verify every product of the stack and print the summary; 1 where one is not as it should be."""
    outputs = stack_outputs(stack, options, show_secrets=True)
    reports = verified(outputs, stack)
    if options.json:
        ok = {report.product: report.ok for report in reports}
        print(json.dumps({"products": outputs["products"], "verified": ok}))
        return 0 if all(ok.values()) else 1
    return draw(stack, reports)


def verified(outputs: Mapping[str, Any], stack: str) -> list[verification.Report]:
    """Compare every product of a stack with the version that its outputs, secrets in plain, say."""
    facts, reports = outputs["products"], []
    for name in sorted(facts):
        with connect(from_outputs(outputs, stack, name, "migrator")) as connection:
            reports.append(verification.verify(connection, products.load(name), int(facts[name]["version"])))
    return reports


def draw(stack: str, reports: list[verification.Report]) -> int:
    """Print what there is; 1 where one is not as it should be."""
    from cli.console import out

    option = "" if stack == "dev" else f" --stack {stack}"
    for report in reports:
        verdict = f"[green]verified, {len(report.checks)} facts[/green]"
        if not report.ok:
            verdict = (
                f"[red]{len(report.differences)} differences[/red]: chatdb verify --product {report.product}{option}"
            )
        out.print(f"\n[bold]{report.product}[/bold]  version {report.version:04d}  {verdict}")
        out.print(f"  tables   {', '.join(report.summary.tables)}")
        out.print(f"  connect  chatdb psql --product {report.product}{option}")
        out.print(f"           chatdb url --product {report.product} --role app{option}")
    return 0 if all(report.ok for report in reports) else 1
