"""The pipelines: clean for actionlint and zizmor, pinned, with few rights, and made of commands that run here."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.commands import COMMANDS
from infra.products import PROJECT_ROOT
from tests.support import actionlint, workflows

# What the runners have and this project does not need: to comment, to show a summary, to write a stack's three lines.
RUNNER_ONLY = ("gh pr comment", "cat report.md", "printf ")


def test_actionlint_finds_nothing() -> None:
    """Syntax, expressions, events and shells of every workflow."""
    try:
        program = actionlint.program()
    except actionlint.NotToBeHad as reason:
        pytest.skip(str(reason))
    done = subprocess.run([program, "-no-color"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    """Injection, rights, pinning, credentials that stay behind; without the network."""
    program = Path(sys.executable).with_name("zizmor")
    command = [str(program), "--offline", "--no-progress", "--persona", "regular", ".github"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_by_commit_with_its_version_beside_it() -> None:
    """A tag can be moved; the comment says what the commit is."""
    uses = [line for file in workflows.files() for line in file.read_text().splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        assert "uses: ./" in line or re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_no_checkout_leaves_credentials_behind() -> None:
    """As each of them says."""
    text = "".join(file.read_text() for file in workflows.files())
    assert text.count("actions/checkout@") == text.count("persist-credentials: false") > 0


@pytest.mark.parametrize(("name", "job"), workflows.jobs())
def test_each_job_has_few_rights_a_limit_and_its_turn(name: str, job: dict[str, object]) -> None:
    """Nothing is granted to a whole workflow; who works on a stack works alone on it."""
    workflow = workflows.read(name.split("/")[0])
    assert workflow["permissions"] == {}
    assert set(job["permissions"]) <= {"contents", "id-token", "pull-requests"}  # type: ignore[call-overload]
    assert job["permissions"]["contents"] == "read"  # type: ignore[index]
    assert "timeout-minutes" in job
    assert "concurrency" in job


def test_prod_is_behind_an_environment_and_after_dev() -> None:
    """The environment's reviewers approve before a step runs."""
    prod = workflows.read("main")["jobs"]["prod"]
    assert (prod["environment"], prod["needs"]) == ("prod", "dev")
    assert workflows.read("main")["on"] == {"push": {"branches": ["main"]}}


def test_whoever_works_on_a_stack_waits_for_who_does_already() -> None:
    """The same group in every workflow."""
    groups = {name: job["concurrency"]["group"] for name, job in workflows.jobs()}
    assert (groups["main/dev"], groups["main/prod"]) == ("stack-dev", "stack-prod")
    assert groups["drift/drift"] == "stack-${{ matrix.stack }}"
    assert groups["teardown/destroy"] == "stack-${{ inputs.stack }}"


def test_no_step_holds_an_expression_and_no_workflow_a_long_lived_key() -> None:
    """What comes from outside comes as a variable; AWS gives credentials for the job by OIDC."""
    for file in workflows.files():
        assert not re.search(r"aws[_-](access|secret)", file.read_text(), re.IGNORECASE)
    for name, _ in workflows.jobs():
        for step in workflows.steps(*name.split("/")):
            assert "${{" not in step.run


def test_every_step_runs_a_make_target_or_a_chatdb_command_that_there_is() -> None:
    """The same that anyone runs by hand."""
    known = {command.name for command in COMMANDS}
    targets = set(re.findall(r"^([a-z]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    seen = 0
    for name, _ in workflows.jobs():
        for step in workflows.steps(*name.split("/")):
            for line in step.run.strip().splitlines():
                if line.startswith(RUNNER_ONLY):
                    continue
                words = shlex.split(line)
                seen += 1
                if words[0] == "make":
                    assert words[1] in targets, line
                else:
                    assert words[0] == ".venv/bin/chatdb", line
                    assert {words[1], " ".join(words[1:3])} & known, line
    assert seen > 10
