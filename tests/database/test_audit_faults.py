"""The audit finds nothing in what the program makes, and each injected fault by its rule and object."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from infra.audit import runner
from infra.audit.model import Rule
from infra.audit.rules import RULES
from infra.products import Product
from tests.support import audit_cases_rights, audit_cases_roles, audit_cases_rows, audit_cases_settings
from tests.support.standing import Standing, run

BY_ID = {rule.id: rule for rule in RULES}

FAULTS = [
    *(*audit_cases_roles.OWNERSHIP, *audit_cases_roles.ATTRIBUTES),
    *(*audit_cases_rights.PUBLIC, *audit_cases_rights.PRIVILEGES),
    *(*audit_cases_rows.ROW_SECURITY, *audit_cases_rows.FUNCTIONS),
    *(*audit_cases_settings.LOGINS, *audit_cases_settings.SERVER, *audit_cases_settings.TABLES),
]


def found(connection: psycopg.Connection[Any], product: Product, rule: Rule) -> dict[str, str]:
    """Return each object that breaks a rule, with its mend."""
    report = runner.audit(connection, product, rules=[rule])
    assert report.unchecked == ()
    return {finding.object: finding.mend for finding in report.findings}


@pytest.mark.parametrize(("product", "statements", "rule", "expected"), FAULTS)
def test_a_fault_is_found_by_its_rule_and_mended_by_its_statement(
    standing: Standing, product: str, statements: str, rule: str, expected: str
) -> None:
    """Nothing before; the object after; nothing again once the mend was run."""
    with standing.trying(product) as (connection, loaded):
        assert found(connection, loaded, BY_ID[rule]) == {}
        run(connection, statements)
        after = found(connection, loaded, BY_ID[rule])
        assert expected in after
        # One object may break a rule in several ways, each with a mend of its own.
        for _ in range(5):
            for mend in found(connection, loaded, BY_ID[rule]).values():
                if not is_for_a_person(mend):
                    run(connection, mend.replace(" CONCURRENTLY", ""))
        left = found(connection, loaded, BY_ID[rule])
        assert [name for name, mend in left.items() if not is_for_a_person(mend)] == []


def is_for_a_person(mend: str) -> bool:
    """Tell whether a mend needs something that only a person has: a new password, or a look elsewhere."""
    return "…" in mend or mend.startswith("--")


def test_the_faults_are_at_least_forty_and_break_every_rule_but_the_servers() -> None:
    """A rule without a fault is a rule that nobody has seen work; the server's own are in test_audit_server."""
    broken = {case.values[2] for case in FAULTS}
    assert len(FAULTS) >= 40
    assert set(BY_ID) - broken == {"tls-off", "login-without-password"}


@pytest.mark.parametrize("name", ["futureguide", "lyra"])
def test_nothing_is_found_in_what_up_makes(standing: Standing, name: str) -> None:
    """Every rule is asked, and holds."""
    with standing.trying(name) as (connection, product):
        report = runner.audit(connection, product)
        assert [finding.as_dict() for finding in report.findings] == []
        assert report.unchecked == ()
        assert report.held == RULES


def test_what_may_not_be_read_is_told_as_not_checked(standing: Standing) -> None:
    """Never as held: the migrator, acting as the owner, reads neither passwords nor pg_hba.conf."""
    with standing.trying("lyra") as (connection, product):
        run(connection, "SET LOCAL SESSION AUTHORIZATION lyra_migrator; SET LOCAL ROLE lyra_owner")
        report = runner.audit(connection, product)
        reasons = {one.rule.id: one.reason for one in report.unchecked}
        assert reasons == {
            "password-not-scram": "it reads pg_authid, which only superusers read; this session is lyra_owner",
            "login-without-password": (
                "it reads pg_hba_file_rules, which only superusers read; this session is lyra_owner"
            ),
        }
        assert not {rule.id for rule in report.held} & set(reasons)


def test_tables_of_the_application_are_none_of_the_audits_business(standing: Standing) -> None:
    """A table beside ours in public, without a key and open to all, is the application's."""
    with standing.trying("lyra") as (connection, product):
        run(connection, "CREATE TABLE public.plans (note text); GRANT SELECT ON public.plans TO PUBLIC")
        assert runner.audit(connection, product).findings == ()
