"""Ask each rule of a product's database. An edge: reads in one transaction, changes nothing.

Called by `chatdb audit`, and after `up` where the stack asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from infra import spelling
from infra.audit.model import GROUND, SEVERITIES, Finding, Report, Rule, Unchecked
from infra.audit.rules import RULES
from infra.migrations import snapshot
from infra.naming import LEDGER_SCHEMA, RoleNames, role_names
from infra.privileges import tables_of
from infra.products import Product


def audit(
    connection: psycopg.Connection[Any],
    product: Product,
    *,
    rules: Sequence[Rule] = RULES,
    names: RoleNames | None = None,
) -> Report:
    """Return where a product's database breaks the baseline.

    Args:
        connection: The database. As a superuser every rule can be asked; as another role those that need more are
            told as unchecked, with the reason.
        product: The product.
        rules: The rules; all of them unless given.
        names: The product's roles as the stack names them; the product's own names where None.
    """
    parameters = _parameters(product, names or role_names(product))
    major = connection.info.server_version // 10000
    findings: list[Finding] = []
    held: list[Rule] = []
    unchecked: list[Unchecked] = []
    with spelling.alike(connection):
        asked = [rule for rule in rules if rule.since <= major]
        answers = _ask(connection, asked, parameters)
        for rule in rules:
            if major < rule.since:
                reason = f"PostgreSQL {major} {rule.absent}: it came with {rule.since}"
                unchecked.append(Unchecked(rule=rule, product=product.name, reason=reason))
                continue
            rows = answers[rule.id]
            if rows is None:
                reason = f"it reads {rule.needs}; this session is {_whoami(connection)}"
                unchecked.append(Unchecked(rule=rule, product=product.name, reason=reason))
                continue
            if not rows:
                held.append(rule)
            scope = "" if rule.server_wide else product.name
            for name, detail, mend in sorted(rows):
                findings.append(Finding(rule=rule, product=scope, object=name, detail=detail, mend=mend))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.rule.severity))
    return Report(product=product.name, held=tuple(held), findings=tuple(findings), unchecked=tuple(unchecked))


def _ask(
    connection: psycopg.Connection[Any], rules: Sequence[Rule], parameters: dict[str, Any]
) -> dict[str, list[tuple[str, str, str]] | None]:
    """Return what breaks each rule, all of them in one statement; None for a rule that this session may not ask.

    Where the session may not ask some, the others are one statement, and each of those one of its own.
    """
    answers: dict[str, list[tuple[str, str, str]] | None] = {rule.id: [] for rule in rules}
    queries = [
        f"SELECT {place}, q.* FROM ({rule.query}) AS q (object, detail, mend)"  # noqa: S608 - the rules' own texts
        for place, rule in enumerate(rules)
    ]
    try:
        # A savepoint: a refused query must not end the whole.
        with connection.transaction():
            rows = connection.execute((GROUND + "\nUNION ALL ".join(queries)).encode(), parameters).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        if len(rules) == 1:
            return {rules[0].id: None}
        open_to_all = [rule for rule in rules if not rule.needs]
        alone = [[rule] for rule in rules if rule.needs or len(open_to_all) == len(rules)]
        for part in ([open_to_all] if len(open_to_all) < len(rules) and open_to_all else []) + alone:
            answers |= _ask(connection, part, parameters)
        return answers
    for place, *found in rows:
        kept = answers[rules[place].id]
        if kept is not None:
            kept.append((found[0], found[1], found[2]))
    return answers


def once(reports: Sequence[Report]) -> list[Finding]:
    """Return the findings of several products, what is the server's only once, the worst first."""
    seen = {(finding.rule.id, finding.product, finding.object): finding for one in reports for finding in one.findings}
    return sorted(seen.values(), key=lambda finding: SEVERITIES.index(finding.rule.severity))


def _parameters(product: Product, names: RoleNames) -> dict[str, Any]:
    """Return what the queries ask for by name."""
    seconds = {f"{kind}_b": name for kind, name in names.seconds.items()}
    kinds = {**names.by_kind, **seconds}
    newest = snapshot.load(product, snapshot.newest(product))
    return {
        "roles": list(kinds.values()),
        "kinds": list(kinds),
        "owner": names.owner,
        "schema": product.schema,
        "ledger": LEDGER_SCHEMA,
        "tables": list(product.tables),
        "figures": list(tables_of(product.name, "analytics")),
        "guarded": [name for name, table in newest["tables"].items() if table["row_security"]],
    }


def _whoami(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT current_user").fetchone()
    return str(row[0]) if row else "unknown"
