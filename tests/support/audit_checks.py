"""Break and mend what a stack has made, on any major: each fault is found by its rule, each drift said in its words.

Called by the tests of whole lives; on PostgreSQL 18 the same cases are tests of their own in tests/database.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.access import reading
from infra.audit import runner
from infra.audit.rules import RULES
from tests.support import access_cases, audit_cases_rights, audit_cases_roles, audit_cases_rows
from tests.support.standing import Standing, run

BY_ID = {rule.id: rule for rule in RULES}
FAULTS = [
    *(*audit_cases_roles.OWNERSHIP, *audit_cases_roles.ATTRIBUTES, *audit_cases_rights.PUBLIC),
    *(*audit_cases_rights.PRIVILEGES, *audit_cases_rows.ROW_SECURITY, *audit_cases_rows.FUNCTIONS),
]
DRIFT = [*access_cases.GRANTS, *access_cases.MEMBERSHIPS, *access_cases.OWNERS]

# In 14 the schema public is the first superuser's, who grants in it.
PUBLIC_IS_THE_OWNERS_SINCE = 15
# Before, a membership has no options and its REVOKE no grantor; rights on parameters and security_invoker came with 15.
OPTIONS_SINCE = 16


def as_said_on(major: int, sentences: Iterable[str]) -> list[str]:
    """Return the expected sentences with the grantor that a major names."""
    if major >= PUBLIC_IS_THE_OWNERS_SINCE:
        return list(sentences)
    return [sentence.replace("granted by pg_database_owner", "granted by postgres") for sentence in sentences]


def is_known(statements: str, rule: str, major: int) -> bool:
    """Tell whether a major has what a case asks for."""
    if "ON PARAMETER" in statements or "security_invoker" in statements or (rule and BY_ID[rule].since > major):
        return major >= 15
    return " WITH INHERIT" not in statements or major >= OPTIONS_SINCE


def check_faults(standing: Standing, major: int) -> None:
    """Assert that every fault the major knows is found by its rule."""
    for case in FAULTS:
        name, statements, rule, expected = case.values
        if not is_known(statements, rule, major):
            continue
        with standing.trying(name) as (connection, product):
            run(connection, statements)
            report = runner.audit(connection, product, rules=[BY_ID[rule]])
            assert (case.id, expected in [one.object for one in report.findings]) == (case.id, True)
            for one in report.findings:
                if not one.mend.startswith("--"):
                    run(connection, one.mend)
            left = runner.audit(connection, product, rules=[BY_ID[rule]])
            assert (case.id, [one.object for one in left.findings if not one.mend.startswith("--")]) == (case.id, [])


def check_drift(standing: Standing, major: int) -> None:
    """Assert that every drift the major knows is said in the same words and mended, owners of `public` aside."""
    for case in DRIFT:
        name, statements, expected = case.values
        if not is_known(statements, "", major):
            continue
        with standing.trying(name) as (connection, product):
            run(connection, statements)
            said = [one.sentence for one in reading.report(connection, product).drift]
            assert (case.id, said) == (case.id, as_said_on(major, expected))
            for _ in range(2):
                for one in reading.report(connection, product).drift:
                    if one.mend:
                        run(connection, one.mend)
            assert (case.id, reading.report(connection, product).drift) == (case.id, ())
