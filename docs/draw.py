"""Draw what `make up` makes: five databases with their roles, tables and foreign keys, as one SVG.

Reads the newest snapshots and the privilege table, so that the picture is never out of date; a test compares it.

    .venv/bin/python -m docs.draw
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from infra import naming, privileges, products
from infra.migrations import snapshot

PICTURE = Path(__file__).with_name("databases.svg")
WIDTH, GAP, LINE, PAD = 284, 14, 15, 10  # pixels: a panel, between panels, a text line, inside a box
FONT = "font-family='ui-sans-serif, system-ui, sans-serif'"
INK, SOFT, EDGE, PAPER, HEAD = "#1f2933", "#66727f", "#c3ccd6", "#ffffff", "#eef3f8"
SHORT = {
    "character varying": "varchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def text(
    x: float, y: float, words: str, *, size: int = 11, colour: str = INK, weight: int = 400, end: bool = False
) -> str:
    """Return a line of text at its baseline."""
    anchor = " text-anchor='end'" if end else ""
    return f"<text x='{x}' y='{y}' font-size='{size}' font-weight='{weight}' fill='{colour}'{anchor}>{escape(words)}</text>"


def box(x: float, y: float, width: float, height: float, *, fill: str = PAPER) -> str:
    """Return a rounded rectangle."""
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='5' fill='{fill}' stroke='{EDGE}'/>"


def column_type(column: dict[str, Any]) -> str:
    """Return a column's type as people write it, with `?` where it may be NULL."""
    name = str(column["type"])
    for long, short in SHORT.items():
        name = name.replace(long, short)
    return name + ("?" if column["nullable"] else "")


def table(x: float, y: float, name: str, facts: dict[str, Any], rights: str, figures: str) -> tuple[str, float]:
    """Return a table's box, headed by what service and analytics may do with it, and the box's height."""
    columns = facts["columns"].items()
    # A key of several columns is drawn at its first one, which is the one that points.
    keys = {
        constraint["definition"].split("(")[1].split(")")[0].split(",")[0]: constraint
        for constraint in facts["constraints"].values()
        if constraint["kind"] == "foreign key"
    }
    height = LINE * (len(columns) + 2) + PAD
    note = f"row security · {rights}" if facts["row_security_forced"] else rights
    parts = [box(x, y, WIDTH - 2 * PAD, height), text(x + 8, y + LINE, name, weight=600)]
    parts.append(text(x + 8, y + 2 * LINE, note, size=9, colour="#9a5b00"))
    if figures:
        parts.append(text(x + WIDTH - 2 * PAD - 8, y + LINE, figures, size=9, colour="#9a5b00", end=True))
    for number, (column, about) in enumerate(columns, start=3):
        key = keys.get(column)
        arrow = f" → {key['definition'].split('REFERENCES ')[1].split('(')[0].removeprefix('public.')}" if key else ""
        parts.append(text(x + 8, y + number * LINE, column + arrow, size=10, colour="#0b5fa5" if key else INK))
        parts.append(
            text(x + WIDTH - 2 * PAD - 8, y + number * LINE, column_type(about), size=10, colour=SOFT, end=True)
        )
    return "".join(parts), height


def panel(x: float, product: products.Product) -> tuple[str, float]:
    """Return a product's panel and its height."""
    names = naming.role_names(product)
    catalogue = snapshot.load(product, snapshot.newest(product))
    y = 40.0
    parts = [
        text(x + PAD, y + 20, product.title, size=13, weight=700),
        text(x + PAD, y + 36, f"database {product.database}, schema {product.schema}", size=10, colour=SOFT),
    ]
    y += 46
    duties = {
        names.owner: "owns all, cannot log in",
        names.migrator: "applies DDL as the owner",
        names.app: "serves the product",
        names.readonly: "reads",
    }
    if names.analytics:
        duties[names.analytics] = "reads figures, no content"
    for role, what in duties.items():
        parts.append(text(x + PAD, y + 12, role, size=10, weight=600))
        parts.append(text(x + WIDTH - PAD, y + 12, what, size=9, colour=SOFT, end=True))
        y += LINE
    y += 6
    rights = {
        (grant.role, name): f"{who}: {' '.join(grant.privileges)}".lower()
        for grant in privileges.TABLES[product.name]
        for who in ("service" if grant.role == "app" else grant.role,)
        for name in grant.tables
    }
    for name in product.tables:
        figures = rights.get(("analytics", name), "")
        drawn, height = table(x + PAD, y, name, catalogue["tables"][name], rights["app", name], figures)
        parts.append(drawn)
        y += height + 8
    return "".join(parts), y


def draw() -> str:
    """Return the picture as SVG."""
    panels, x = [], float(GAP)
    heights = []
    for name in products.names():
        drawn, height = panel(x, products.load(name))
        panels.append((x, drawn))
        heights.append(height)
        x += WIDTH + GAP
    bottom = max(heights) + PAD
    body = "".join(box(left, 36, WIDTH, bottom - 36, fill=HEAD) + drawn for left, drawn in panels)
    title = text(GAP, 24, "One stack: a database per product, with its roles, grants and tables", size=15, weight=700)
    legend = text(x - GAP, 24, "blue: foreign key · ?: may be NULL", size=10, colour=SOFT, end=True)
    size = f"width='{x:.0f}' height='{bottom + GAP:.0f}' viewBox='0 0 {x:.0f} {bottom + GAP:.0f}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {FONT}><rect width='100%' height='100%' fill='#f7f9fb'/>{title}{legend}{body}</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(f"drew {PICTURE.name}")
