"""`chatdb access` and `chatdb audit`: what they print, what they exit with, and that SARIF is SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.audit import sarif
from infra.audit.model import Finding, Unchecked
from infra.audit.rules import RULES
from infra.connection import connect
from tests.support.standing import Standing, run


@pytest.fixture
def drifted(standing: Standing) -> Iterator[Standing]:
    """The stack with a right that is not declared; it is taken back at the end."""
    with connect(standing.server.target("lyra")) as connection:
        run(connection, "GRANT UPDATE ON public.chat_messages TO lyra_app")
        run(connection, "GRANT TRUNCATE ON public.chat_messages TO lyra_readonly")
        yield standing
        run(connection, "REVOKE UPDATE ON public.chat_messages FROM lyra_app")
        run(connection, "REVOKE TRUNCATE ON public.chat_messages FROM lyra_readonly")


def test_access_of_what_up_made_is_as_declared(standing: Standing) -> None:
    """Exit status 0, a row for each object, and a verdict."""
    said = standing.project.succeed("access")
    for words in ("public.chat_messages", "chat.set_updated_at()", "lyra: as it is declared", "fg_user"):
        assert words in said


def test_access_names_each_drift_and_exits_with_2(drifted: Standing) -> None:
    """In the cell with a +, and as a sentence with its mend."""
    done = drifted.project.chatdb("access", "--product", "lyra")
    assert done.returncode == 2
    assert "+UPDATE" in done.stdout
    assert (
        "lyra_app has UPDATE on public.chat_messages, which is not declared: granted by lyra_owner\n"
        "    mend: REVOKE UPDATE ON TABLE public.chat_messages FROM lyra_app"
    ) in done.stdout
    assert "lyra: 2 differ from what is declared" in done.stdout


def test_access_as_json_has_cells_and_drift(drifted: Standing) -> None:
    """For machines: per object and role what is effective, declared, undeclared, missing."""
    done = drifted.project.chatdb("access", "--product", "lyra", "--json")
    assert done.returncode == 2
    (report,) = json.loads(done.stdout)
    cells = {(row["object"], role): cell for row in report["matrix"] for role, cell in row["roles"].items()}
    assert cells["public.chat_messages", "lyra_app"] == {
        "effective": ["SELECT", "INSERT", "UPDATE"],
        "declared": ["SELECT", "INSERT"],
        "undeclared": ["UPDATE"],
    }
    assert cells["role lyra_owner", "lyra_migrator"] == {
        "effective": ["SET", "INHERIT"],
        "declared": ["SET", "INHERIT"],
    }
    assert [(one["role"], one["privileges"]) for one in report["drift"]] == [
        ("lyra_app", ["UPDATE"]),
        ("lyra_readonly", ["TRUNCATE"]),
    ]


def test_a_preview_says_in_words_what_changes_for_whom(drifted: Standing) -> None:
    """For people below the resource, for machines by product; what is not declared stands among the warnings."""
    said = drifted.project.succeed("preview")
    assert (
        "~ lyra-access  Access\n"
        "    lyra_app loses UPDATE on public.chat_messages\n"
        "    lyra_readonly loses TRUNCATE on public.chat_messages\n"
    ) in said
    report = json.loads(drifted.project.succeed("preview", "--json"))
    assert report["access"] == {
        "lyra": [
            "lyra_app loses UPDATE on public.chat_messages",
            "lyra_readonly loses TRUNCATE on public.chat_messages",
        ]
    }
    assert report["warnings"] == [
        "lyra: privilege-around-policies: public.chat_messages: lyra_readonly has TRUNCATE; "
        "mend: REVOKE TRUNCATE ON TABLE public.chat_messages FROM lyra_readonly"
    ]


def test_audit_tells_what_why_and_how_to_mend_and_exits_with_2(drifted: Standing) -> None:
    """One finding in three lines."""
    done = drifted.project.chatdb("audit", "--product", "lyra")
    assert done.returncode == 2
    assert "high     lyra  privilege-around-policies  public.chat_messages: lyra_readonly has TRUNCATE" in done.stdout
    assert "mend: REVOKE TRUNCATE ON TABLE public.chat_messages FROM lyra_readonly" in done.stdout


def test_audit_over_a_login_of_ours_says_what_it_could_not_check(standing: Standing) -> None:
    """A connection string in place of the stack: the reader may not see passwords."""
    url = standing.project.succeed("url", "--product", "lyra", "--role", "readonly").strip()
    done = standing.project.chatdb("audit", "--product", "lyra", "--url", url, "--json")
    unchecked = {one["rule"]: one["reason"] for one in json.loads(done.stdout)["unchecked"]}
    assert unchecked == {
        rule: f"it reads {what}, which only superusers read; this session is lyra_readonly"
        for rule, what in (("password-not-scram", "pg_authid"), ("login-without-password", "pg_hba_file_rules"))
    }


def test_what_roles_are_called_is_never_guessed_over_a_connection_string(standing: Standing) -> None:
    """Refused where one of a usual name does not stand; taken from the stack's file, or as it is said."""
    project, names = standing.project, {"app": "lyra_service"}
    over = ("--product", "lyra", "--url", project.succeed("url", "--product", "lyra", "--role", "readonly").strip())
    project.write_stack("elsewhere", {"roleNames": {"lyra": names}})
    with connect(standing.server.target()) as connection:
        run(connection, "ALTER ROLE lyra_app RENAME TO lyra_service")
        try:
            for command in ("access", "audit"):
                for told in ((), ("--roles", "owner=lyra_owner")):
                    done = project.chatdb(command, *over, *told)
                    assert (done.returncode, done.stdout) == (1, "")
                    assert done.stderr.startswith(
                        "lyra has no role lyra_app here\n"
                        "DETAIL: a connection string does not tell what its roles are called; "
                        "lyra belongs to lyra_owner\n"
                        "HINT: Add --stack with the stack whose roleNames call them otherwise, or say it: --roles "
                    )
                project.succeed(command, *over, "--stack", "elsewhere")
                project.succeed(command, *over, "--roles", "app=lyra_service")
        finally:
            run(connection, "ALTER ROLE lyra_service RENAME TO lyra_app")
    done = project.chatdb("access", *over, "--roles", "service=lyra_app")
    assert done.stderr.startswith("there is no role of lyra named 'service'\nDETAIL: known: owner, ")
    done = project.chatdb("access", *over, "--roles", "lyra_app")
    assert "'lyra_app' is not like owner=chat_owner,app=lyra_service" in done.stderr


def test_audit_writes_sarif(drifted: Standing, tmp_path: Path) -> None:
    """A result for each finding, with the rule it refers to, its place and a fingerprint that stays."""
    file = tmp_path / "audit.sarif"
    done = drifted.project.chatdb("audit", "--product", "lyra", "--sarif", str(file), "--json")
    written = json.loads(file.read_text(encoding="utf-8"))
    check_sarif(written)
    (one_run,) = written["runs"]
    found = [(one["rule"], one["object"]) for one in json.loads(done.stdout)["findings"]]
    places = [result["locations"][0]["logicalLocations"][0]["name"] for result in one_run["results"]]
    assert [(result["ruleId"], place) for result, place in zip(one_run["results"], places, strict=True)] == found
    assert ("privilege-around-policies", "public.chat_messages") in found


def test_a_sarif_file_that_cannot_be_written_is_an_error(standing: Standing, tmp_path: Path) -> None:
    """Named, with what to do; exit status 1."""
    done = standing.project.chatdb("audit", "--product", "lyra", "--sarif", str(tmp_path / "none" / "a.sarif"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}/none/a.sarif cannot be written\nDETAIL: No such file or directory")


def test_what_was_not_checked_is_a_notification_and_no_result() -> None:
    """A scanner must not take it as passed nor as failed."""
    rule = RULES[0]
    finding = Finding(rule=rule, product="lyra", object="x", detail="it is off", mend="SELECT 1")
    unchecked = Unchecked(rule=RULES[1], product="lyra", reason="may not be read")
    document = sarif.document(RULES, [finding], [unchecked])
    check_sarif(document)
    (invocation,) = document["runs"][0]["invocations"]
    assert invocation["toolExecutionNotifications"] == [
        {
            "descriptor": {"id": RULES[1].id, "index": 1},
            "level": "note",
            "message": {"text": "lyra: not checked: may not be read"},
        }
    ]
    assert [result["ruleId"] for result in document["runs"][0]["results"]] == [rule.id]


def check_sarif(document: dict[str, Any]) -> None:
    """Assert what SARIF 2.1.0 demands of a run: §3.13, §3.14, §3.19, §3.27, §3.49."""
    assert document["version"] == "2.1.0"
    (one_run,) = document["runs"]
    driver = one_run["tool"]["driver"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert all(rule["shortDescription"]["text"] and rule["fullDescription"]["text"] for rule in driver["rules"])
    for result in one_run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        physical = result["locations"][0]["physicalLocation"]
        assert not physical["artifactLocation"]["uri"].startswith("/")
        assert physical["region"]["startLine"] >= 1
        assert len(result["partialFingerprints"]["chatdb/v1"]) == 64
    prints = {result["partialFingerprints"]["chatdb/v1"] for result in one_run["results"]}
    places = {
        (result["ruleId"], result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"])
        for result in one_run["results"]
    }
    assert len(prints) == len(places)
