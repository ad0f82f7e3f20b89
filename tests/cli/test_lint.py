"""`chatdb lint`: squawk and our own rules, by file and line, silenced only with a reason."""

from __future__ import annotations

import json

import pytest

from infra.migrations import linting
from infra.migrations.filename import parse
from tests.cli.conftest import Shell

TOP = "-- Readers rate an answer.\n--\n-- Locks: public.chats for a moment.\n\n"
ONLY = "-- Why.\n"


def found(up: str, *, top: str = TOP, options: str = "") -> list[tuple[int, str]]:
    """Return line and rule of each finding in a file."""
    text = f"{top}-- migrate:up{options}\n{up}\n-- migrate:down\nDROP TABLE everything CASCADE;\n"
    return [(finding.line, finding.rule) for finding in linting.check([parse("0009_try.sql", text)])]


# The up section begins on line 6.
RULES = {
    "plain": ("ALTER TABLE public.chats ADD COLUMN rating bigint;", []),
    "unnamed constraint": (
        "ALTER TABLE public.chats ADD CHECK (rating > 0) NOT VALID;",
        [(6, "unnamed-constraint")],
    ),
    "unnamed key of a column": (
        "-- New.\nCREATE TABLE public.a (\n    id uuid PRIMARY KEY,\n    b uuid REFERENCES public.c (id)\n);",
        [(7, "unnamed-constraint"), (7, "unnamed-constraint")],
    ),
    "unnamed index": (
        f"{ONLY}CREATE TABLE public.a (id bigint);\n{ONLY}CREATE INDEX ON public.a (id);",
        [(9, "unnamed-index")],
    ),
    "no comment": (
        f"{ONLY}CREATE TABLE public.a (id bigint);\nCREATE INDEX a_id_idx ON public.a (id);",
        [(8, "no-comment")],
    ),
    "comment behind the statement before": (
        f"{ONLY}CREATE TABLE public.a (id bigint); -- this one\nCREATE INDEX a_id_idx ON public.a (id);",
        [(8, "no-comment")],
    ),
    "function without search_path": (
        "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';",
        [(6, "function-search-path")],
    ),
    "function with search_path": (
        "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql SET search_path = '' AS 'SELECT 1';",
        [],
    ),
    "definer": (
        "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';",
        [(6, "function-search-path")],
    ),
    "policy for PUBLIC": (
        "CREATE POLICY p ON public.chats USING (true);",
        [(6, "policy-to-public")],
    ),
    "policy for a role": ("CREATE POLICY p ON public.chats TO app USING (true);", []),
    "grant to PUBLIC": ("GRANT SELECT ON public.chats TO app, PUBLIC;", [(6, "grant-to-public")]),
    "revoke from PUBLIC": ("REVOKE ALL ON public.chats FROM PUBLIC;", []),
    "cascade": ("DROP VIEW public.v CASCADE;", [(6, "ban-drop-view"), (6, "drop-cascade")]),
    "squawk's": ("ALTER TABLE public.chats ADD COLUMN a integer;", [(6, "prefer-bigint-over-int")]),
    "squawk's on the right line": (
        "\n\nALTER TABLE public.chats\n    DROP COLUMN a;",
        [(9, "ban-drop-column")],
    ),
    "an index on a table in use": (
        "CREATE INDEX chats_id_idx ON public.chats (id);",
        [(6, "require-concurrent-index-creation")],
    ),
    "an index on a table made in the same transaction": (
        f"{ONLY}CREATE TABLE public.a (id bigint);\n{ONLY}CREATE INDEX a_id_idx ON public.a (id);",
        [],
    ),
    "umlauts before": (
        "-- größer, schöner: äöü\nALTER TABLE public.chats ADD CHECK (a > 0) NOT VALID;",
        [(7, "unnamed-constraint")],
    ),
    "silenced": (
        "-- chatdb-ignore unnamed-constraint: dropped again below\n"
        "ALTER TABLE public.chats ADD CHECK (a > 0) NOT VALID;",
        [],
    ),
    "silenced without a reason": (
        "-- chatdb-ignore unnamed-constraint\nALTER TABLE public.chats ADD CHECK (a > 0) NOT VALID;",
        [(6, "ignore-without-reason"), (7, "unnamed-constraint")],
    ),
    "silenced for the file": (
        "-- chatdb-ignore-file no-comment: they are alike\n"
        "CREATE TABLE public.a (id bigint);\nCREATE TABLE public.b (id bigint);",
        [],
    ),
    "silencing another rule": (
        "-- chatdb-ignore drop-cascade: no reason\nALTER TABLE public.chats ADD CHECK (a > 0) NOT VALID;",
        [(7, "unnamed-constraint")],
    ),
    "silencing no rule": (
        "-- chatdb-ignore everything: I may\nALTER TABLE public.chats ADD COLUMN a bigint;",
        [(6, "ignore-without-reason")],
    ),
    "squawk silenced": (
        "-- Nobody reads it since 2025.\n-- squawk-ignore ban-drop-column\nALTER TABLE public.chats DROP COLUMN a;",
        [],
    ),
    "squawk silenced without a reason": (
        "-- squawk-ignore ban-drop-column\nALTER TABLE public.chats DROP COLUMN a;",
        [(6, "ignore-without-reason")],
    ),
    "squawk silenced in another kind of comment": (
        "/* squawk-ignore ban-drop-column */\nALTER TABLE public.chats DROP COLUMN a;",
        [(6, "ignore-without-reason")],
    ),
    "squawk silenced behind a statement": (
        "SELECT 1; -- squawk-ignore ban-drop-column\nALTER TABLE public.chats DROP COLUMN a;",
        [(6, "ignore-without-reason")],
    ),
}


@pytest.mark.parametrize(("up", "expected"), RULES.values(), ids=RULES)
def test_a_rule_finds_what_it_is_for(up: str, expected: list[tuple[int, str]]) -> None:
    """Line of the file and name of the rule; the down section is not looked at."""
    assert found(up) == expected


TOPS = {
    "no reason": ("\n-- Locks: nothing.\n", [(1, "no-reason")]),
    "no locks": ("-- Readers rate.\n", [(1, "no-locks")]),
    "neither": ("", [(1, "no-locks"), (1, "no-reason")]),
    "a draft": ("-- DRAFT\n-- Locks: nothing.\n", [(1, "draft")]),
}


@pytest.mark.parametrize(("top", "expected"), TOPS.values(), ids=TOPS)
def test_a_file_begins_with_its_reason_and_what_it_locks(top: str, expected: list[tuple[int, str]]) -> None:
    """What stands before `-- migrate:up`."""
    assert found("ALTER TABLE public.chats ADD COLUMN rating bigint;", top=top) == expected


CONCURRENT = f"{ONLY}CREATE INDEX CONCURRENTLY chats_id_idx ON public.chats (id);\nSELECT 1;"


def test_squawk_knows_which_files_run_in_a_transaction() -> None:
    """CONCURRENTLY is a finding inside one and none outside, in one call over both kinds."""
    both = [
        parse(f"{number:04d}_{name}.sql", f"{TOP}-- migrate:up{options}\n{CONCURRENT}\n-- migrate:down\n")
        for number, name, options in ((1, "outside", " transaction:false"), (2, "inside", ""))
    ]
    findings = linting.check(both)
    assert [(finding.file, finding.rule) for finding in findings] == [
        ("0002_inside.sql", "ban-concurrent-index-creation-in-transaction")
    ]


def test_the_migrations_of_this_repository_have_no_finding(shell: Shell) -> None:
    """Every product's, with what is silenced in them."""
    assert shell.done(None, "lint").endswith(" migrations, 0 findings\n")


def test_a_finding_is_printed_with_file_line_rule_and_what_to_do(own_shell: Shell) -> None:
    """Exit status 1; as JSON the same."""
    file = own_shell.project.folder / "schema/lyra/migrations/0004_try.sql"
    file.write_text(f"{TOP}-- migrate:up\nGRANT SELECT ON public.chats TO PUBLIC;\n-- migrate:down\n")
    done = own_shell.run(None, "lint", "--product", "lyra")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        "schema/lyra/migrations/0004_try.sql:6: grant-to-public: "
        "A right goes to PUBLIC: every role there will ever be.\n"
        "  HINT: Grant to a role, in infra/privileges.py, where a preview shows it.\n"
        "4 migrations, 1 finding\n"
    )
    as_json = own_shell.run(None, "lint", "--product", "lyra", "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout) == [
        {
            "product": "lyra",
            "file": "0004_try.sql",
            "line": 6,
            "rule": "grant-to-public",
            "what": "A right goes to PUBLIC: every role there will ever be.",
            "hint": "Grant to a role, in infra/privileges.py, where a preview shows it.",
        }
    ]


def test_pending_files_with_findings_are_refused_as_one_error() -> None:
    """What a preview shows."""
    migration = parse("0009_try.sql", f"{TOP}-- migrate:up\nGRANT SELECT ON public.chats TO PUBLIC;\n-- migrate:down\n")
    with pytest.raises(linting.LintError) as refused:
        linting.require([migration])
    assert str(refused.value) == (
        "1 finding of the linter in the migrations\n"
        "DETAIL: 0009_try.sql:6: grant-to-public: A right goes to PUBLIC: every role there will ever be. "
        "Grant to a role, in infra/privileges.py, where a preview shows it.\n"
        "HINT: Mend each, or silence it in the file with its reason: -- squawk-ignore RULE, "
        "-- chatdb-ignore RULE: reason\n"
        "STATE: Nothing was changed."
    )
