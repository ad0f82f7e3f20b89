"""`chatdb verify`: the deep check of each database, as a table. A difference is an error: exit status 1."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cli.targets import named, require, resolve
from infra import products, verification
from infra.connection import connect, reading
from infra.migrations import directory, runner
from infra.migrations.errors import MigrationError


def verify(options: argparse.Namespace) -> int:
    """Check each product and return 1 where anything is off."""
    reports = [check(options, name) for name in require(options)]
    if options.json:
        print(json.dumps([as_dict(report) for report in reports], ensure_ascii=False))
    else:
        for report in reports:
            show(report)
    return 0 if all(report.ok for report in reports) else 1


def check(options: argparse.Namespace, name: str) -> verification.Report:
    """Compare one product's database with the version its ledger says."""
    product = products.load(name)
    target = resolve(options, name)
    try:
        status = runner.status(target, directory.read(product.migrations_folder))
    except MigrationError as error:
        raise named(error, options, name) from None
    unread = reading(f"{name} cannot be verified", target)
    with connect(target) as connection, unread:
        return verification.verify(connection, product, status.version)


def as_dict(report: verification.Report) -> dict[str, Any]:
    """Return a report for machines."""
    return {
        "product": report.product,
        "version": report.version,
        "ok": report.ok,
        "checks": [check.as_dict() for check in report.checks],
        "differences": [difference.sentence for difference in report.differences],
    }


def show(report: verification.Report) -> None:
    """Print what was checked, one row per kind of fact, then each difference."""
    from collections import Counter

    from rich.table import Table

    from cli.console import out, print_table

    checked = Counter(check.kind for check in report.checks)
    failed = Counter(check.kind for check in report.checks if not check.ok)
    table = Table(title=f"{report.product} at version {report.version:04d}", title_justify="left")
    table.add_column("checked")
    table.add_column("facts", justify="right")
    table.add_column("result")
    for kind, count in sorted(checked.items()):
        bad = failed[kind]
        table.add_row(kind, str(count), f"[red]{bad} off[/red]" if bad else "[green]as it must be[/green]")
    print_table(table)
    for check in report.checks:
        if not check.ok:
            out.print(
                f"  {check.kind} of {check.object}: expected {check.expected}, found {check.actual}", markup=False
            )
    verdict = "[green]verified[/green]" if report.ok else f"[red]{len(report.differences)} differences[/red]"
    out.print(f"{report.product}: {len(report.checks)} facts, {verdict}\n")
