"""`chatdb access`: who can do what in a product's database now, beside what is declared. Drift: exit status 2."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from cli.administration import as_administrator
from cli.role_names import names_of, require_standing
from cli.targets import require, rotation_of
from infra import products
from infra.access import reading
from infra.access.cells import Cell, columns, rows
from infra.connection import connect

if TYPE_CHECKING:
    from rich.text import Text

DIFFERENT = 2


def access(options: argparse.Namespace) -> int:
    """Print the matrix of each product and return 2 where a right is not declared or a declared one is missing."""
    reports = []
    rotation, names = rotation_of(options), names_of(options)
    for name in require(options):
        with connect(as_administrator(options, name)) as connection:
            require_standing(connection, options, name, names[name])
            reports.append(reading.report(connection, products.load(name), names=names[name], rotation=rotation))
    if options.json:
        print(json.dumps([as_dict(report) for report in reports], ensure_ascii=False))
    else:
        for report in reports:
            show(report)
    return DIFFERENT if any(report.drift for report in reports) else 0


def as_dict(report: reading.Report) -> dict[str, Any]:
    """Return a report for machines."""
    return {
        "product": report.product.name,
        "database": report.access.database,
        "roles": list(columns(report.declared, report.drift)),
        "matrix": [
            {"object": thing.label, "kind": thing.kind, "roles": {role: cell.as_dict() for role, cell in cells.items()}}
            for thing, cells in rows(report.access, report.declared, report.drift)
        ],
        "drift": [drift.as_dict() for drift in report.drift],
    }


def show(report: reading.Report) -> None:
    """Print the matrix, then each drift as a sentence."""
    from rich.table import Table

    from cli.console import out, print_table

    roles = columns(report.declared, report.drift)
    table = Table(title=f"{report.product.name}: who can do what in {report.access.database}", title_justify="left")
    table.add_column("object", overflow="fold")
    for role in roles:
        table.add_column(role, overflow="fold")
    for thing, cells in rows(report.access, report.declared, report.drift):
        name = (
            f"{thing.kind} {thing.label}" if thing.kind in ("function", "column", "view", "sequence") else thing.label
        )
        table.add_row(name, *(_text(cells.get(role, Cell())) for role in roles))
    print_table(table)
    for drift in report.drift:
        out.print(f"  {drift.sentence}", style="red", markup=False)
        if drift.mend:
            out.print(f"    mend: {drift.mend}", markup=False)
    count = len(report.drift)
    verdict = f"[red]{count} {'differs' if count == 1 else 'differ'} from what is declared[/red]"
    out.print(f"{report.product.name}: {verdict if count else '[green]as it is declared[/green]'}\n")


def _text(cell: Cell) -> Text:
    """Return a cell: what is declared plain, what is not red with +, what is missing red with -, a SET ROLE in ()."""
    from rich.text import Text

    text = Text()
    if cell.everything and not cell.undeclared:
        return Text("all", style="dim")
    for name in cell.effective:
        extra = name in cell.undeclared
        text.append(f"+{name} " if extra else f"{name} ", style="bold red" if extra else "")
    for name in cell.after_set_role:
        extra = name in cell.undeclared
        text.append(f"{'+' if extra else ''}({name}) ", style="bold red" if extra else "")
    for name in cell.missing:
        text.append(f"-{name} ", style="bold red")
    text.rstrip()
    return text
