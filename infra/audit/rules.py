"""Every rule of the baseline, in the order in which the subjects are read. Pure data."""

from __future__ import annotations

from infra.audit import attributes, functions, logins, ownership, privileges, public, row_security, server, tables
from infra.audit.model import Rule

SUBJECTS: dict[str, tuple[Rule, ...]] = {
    "ownership": ownership.RULES,
    "attributes and memberships": attributes.RULES,
    "PUBLIC": public.RULES,
    "privileges": privileges.RULES,
    "row security": row_security.RULES,
    "functions": functions.RULES,
    "logins": logins.RULES,
    "server": server.RULES,
    "tables": tables.RULES,
}
RULES: tuple[Rule, ...] = tuple(rule for rules in SUBJECTS.values() for rule in rules)
