"""The report for a pull request: what it says of each product and stack, and what Markdown would take for its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cli.report_text import CUT, LONGEST, Preview, comment, markdown
from embedded.engine.steps import Change
from embedded.events import StepEvent
from infra.errors import ChatdbError
from infra.migrations.rules import Finding

PRODUCTS = ["lyra", "robotics"]


def event(operation: Any, name: str, type_: str, changes: tuple[Change, ...] = (), **inputs: Any) -> StepEvent:
    return StepEvent(operation=operation, phase="planned", type=type_, name=name, changes=changes, inputs=inputs)


def pending(*names: str) -> StepEvent:
    files = {name: [f"-- {name}", "SELECT 1;", ""] for name in names}
    return event("update", "lyra-migrations", "dynamic/chatdb:Migrations", migrations=files, pending=list(names))


def test_the_sql_of_each_pending_file_stands_once_and_in_full() -> None:
    """Under its product, with the stacks it is pending on."""
    text = markdown([Preview("dev", [pending("0003_a")]), Preview("prod", [pending("0002_b", "0003_a")])], PRODUCTS, {})
    assert "\ndev, pending: `0003_a`\n" in text
    assert "\nprod, pending: `0002_b`, `0003_a`\n" in text
    assert text.count("```sql\n-- 0003_a\nSELECT 1;\n```") == 1
    assert text.index("0002_b.sql") < text.index("0003_a.sql")
    assert "**dev**: would be 1 updated" in text
    assert "### robotics" not in text


def test_who_gains_which_right_stands_as_it_is_said() -> None:
    """A sentence each, by stack; the data beside it is not repeated."""
    said = {"changes": ["lyra_app gains SELECT on public.a"]}
    declared = (Change("declared", None, {}),)
    review = replace(event("update", "lyra-access", "dynamic/chatdb:Access", declared), inputs=said)
    text = markdown([Preview("dev", [review])], PRODUCTS, {})
    assert "\ndev, access:\n\n- lyra_app gains SELECT on public.a\n" in text
    assert "declared" not in text


def test_a_change_of_a_resource_is_shown_from_old_to_new() -> None:
    """One that is new has its name and type; what belongs to no product comes last."""
    role = event("update", "robotics-app", "postgresql:index/role:Role", (Change("connectionLimit", 50, 60),))
    server = event("create", "server", "pulumi:providers:postgresql", (Change("host", None, "h"),))
    text = markdown([Preview("dev", [server, role])], PRODUCTS, {})
    assert "- ~ robotics-app Role: connectionLimit: 50 → 60\n" in text
    assert text.index("### robotics") < text.index("### The stack itself")
    assert "- + server postgresql\n" in text


def test_a_refusal_stands_in_the_report_with_its_reason() -> None:
    """In its three parts, beside the other stack's changes."""
    error = ChatdbError("it is refused", detail="why", hint="what to do")
    text = markdown([Preview("dev"), Preview("prod", error=error)], PRODUCTS, {})
    assert "**dev**: nothing to do" in text
    assert "**prod**: refused\n\n```text\nit is refused\nDETAIL: why\nHINT: what to do\n```" in text


def test_findings_and_warnings_are_told() -> None:
    """The linter's with file and line; a warning by its first line."""
    finding = Finding(file="0003_a.sql", line=4, rule="no-comment", what="No comment.", hint="Write one.")
    text = markdown([Preview("dev", warnings=["policy a: b\n  DETAIL: c"])], PRODUCTS, {"lyra": [finding]})
    assert "> policy a: b\n" in text
    assert "- lyra: 0003_a.sql:4: no-comment: No comment. Write one.\n" in text
    assert "No finding." in markdown([Preview("dev")], PRODUCTS, {"lyra": []})


def test_markdown_takes_nothing_of_the_text_for_its_own() -> None:
    """Signs are escaped; a fence is longer than any in the SQL."""
    name = "0003_a"
    files = {name: ["SELECT '```';", "SELECT '````';"]}
    odd = event("update", "lyra-migrations", "dynamic/chatdb:Migrations", migrations=files, pending=[name])
    role = event("update", "lyra-app", "postgresql:index/role:Role", (Change("name", "<a>", "*b*"),))
    text = markdown([Preview("dev", [odd, role])], PRODUCTS, {})
    assert "`````sql\nSELECT '```';\nSELECT '````';\n`````\n" in text
    assert r"name: \<a\> → \*b\*" in text


def test_a_comment_is_cut_where_it_would_be_too_long_and_says_so() -> None:
    """The text itself is not."""
    assert comment("short") == "short"
    cut = comment("x" * (LONGEST + 1))
    assert len(cut) == LONGEST
    assert cut.endswith(CUT)
