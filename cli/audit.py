"""`chatdb audit`: the security baseline asked of each product's database. Findings: exit status 2."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from cli.administration import as_administrator
from cli.role_names import names_of, require_standing
from cli.targets import require
from infra import products
from infra.audit import runner, sarif
from infra.audit.model import Finding, Report
from infra.audit.rules import RULES, SUBJECTS
from infra.connection import connect
from infra.errors import ChatdbError
from infra.words import counted

DIFFERENT = 2
COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}


def audit(options: argparse.Namespace) -> int:
    """Ask every rule of each product and return 2 where one is broken."""
    reports, names = [], names_of(options)
    for name in require(options):
        with connect(as_administrator(options, name)) as connection:
            require_standing(connection, options, name, names[name])
            reports.append(runner.audit(connection, products.load(name), names=names[name]))
    findings = runner.once(reports)
    if options.sarif:
        _write(Path(options.sarif), reports, findings)
    if options.json:
        unchecked = [one.as_dict() for report in reports for one in report.unchecked]
        checked = {report.product: len(report.held) for report in reports}
        said = {"findings": [finding.as_dict() for finding in findings], "unchecked": unchecked, "held": checked}
        print(json.dumps(said, ensure_ascii=False))
    else:
        show(reports, findings)
    return DIFFERENT if findings else 0


def show(reports: Sequence[Report], findings: Sequence[Finding]) -> None:
    """Print one row per subject and product, then each finding with its mend, then what could not be asked."""
    from rich.table import Table
    from rich.text import Text

    from cli.console import out, print_table

    table = Table(title="security baseline", title_justify="left")
    table.add_column("subject")
    table.add_column("rules", justify="right")
    for report in reports:
        table.add_column(report.product)
    for subject, rules in SUBJECTS.items():
        cells = []
        for report in reports:
            count = sum(finding.rule in rules for finding in report.findings)
            asked = sum(rule in rules for rule in report.held) or count
            cells.append(Text(f"{count} found", style="red") if count else Text("holds" if asked else "not checked"))
        table.add_row(subject, str(len(rules)), *cells)
    print_table(table)
    for finding in findings:
        out.print(
            Text.assemble(
                (f"  {finding.rule.severity:8} ", COLOURS[finding.rule.severity]),
                (f"{finding.product or 'server'}  {finding.rule.id}", "bold"),
                f"  {finding.object}: {finding.detail}\n",
                (f"           why: {finding.rule.why}\n           mend: {finding.mend}", "dim"),
            )
        )
    told: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        for one in report.unchecked:
            told.setdefault((one.rule.id, one.reason), []).append(one.product)
    for (rule, reason), names in told.items():
        out.print(f"  not checked  {rule} ({', '.join(names)}): {reason}", markup=False)
    out.print(Text(counted(len(findings), "finding"), style="red" if findings else "green"))


def _write(file: Path, reports: Sequence[Report], findings: Sequence[Finding]) -> None:
    """Write the SARIF file.

    Raises:
        ChatdbError: it cannot be written.
    """
    unchecked = [one for report in reports for one in report.unchecked]
    text = json.dumps(sarif.document(RULES, findings, unchecked), indent=2, ensure_ascii=False)
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ChatdbError(
            f"{file} cannot be written",
            detail=error.strerror or type(error).__name__,
            hint="Name a file in a folder that stands and that you may write in.",
            state="The audit changed nothing.",
        ) from None
