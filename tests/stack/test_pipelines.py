"""The whole path dev → prod → teardown on two embedded servers, by the very commands of the workflows' steps.

Where the Pulumi CLI is on PATH the same commands run on it; here the embedded engine has both stacks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.support import workflows
from tests.support.documentation import made_project, run
from tests.support.project import Project

TABLE = "TABLE public.chat_messages"
NAMES = '["lyra"]'
# What the runner has, and this machine needs not: the comment itself.
ON_GITHUB = ("Comment",)


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Dev and prod of one product, each with an embedded server of its own; neither is up."""
    with made_project() as made:
        made.succeed("config", "set", "--stack", "dev", "chatdb:products", NAMES)
        made.succeed("config", "set", "--stack", "prod", "chatdb:products", NAMES)
        made.succeed("config", "set", "--stack", "prod", "chatdb:serverFile", ".chatdb/prod/server/server.json")
        yield made


def follow(project: Project, workflow: str, job: str, **variables: str) -> str:
    """Run the steps of a job as they stand there, each of which must succeed, and return what they print."""
    said = ""
    for step in workflows.steps(workflow, job):
        if step.name in ON_GITHUB:
            continue
        given = {name: value for name, value in step.environment.items() if "${{" not in value}
        done = run(project, step.run, **given, **variables)
        assert done.returncode == 0, f"{step.name}: {step.run}\n{done.stdout}\n{done.stderr}"
        said += done.stdout + done.stderr
    return said


def test_a_merge_brings_dev_up_and_verifies_it(project: Project) -> None:
    """The first job of main."""
    said = follow(project, "main", "dev")
    assert "lyra  version 0" in said
    assert "verified" in said


def test_a_pull_request_gets_one_comment_on_both_stacks(project: Project) -> None:
    """With the SQL that prod lacks in full, who gains which right, and what the linter finds."""
    project.succeed("server", "start", "--stack", "prod")
    follow(project, "pull-request", "preview")
    text = (project.folder / "comment.md").read_text()
    assert "**dev**: nothing to do" in text
    assert "prod, pending: `0001_create_chat_messages`" in text
    assert "CREATE TABLE IF NOT EXISTS public.chat_messages (" in text
    assert "- lyra_app gains SELECT, INSERT on public.chat_messages" in text
    assert text.endswith("### Lint\n\nNo finding.\n")


def test_a_pull_request_has_a_stack_of_its_own_and_leaves_nothing(project: Project) -> None:
    """Made, verified, audited, removed; what is left after a run that was cut off is removed when it is closed."""
    said = follow(project, "pull-request", "stack", STACK="pr-7")
    assert "stack pr-7 is gone" in said
    assert not (project.folder / ".chatdb/pr-7").exists()
    follow(project, "pull-request", "remove-stack", STACK="pr-7")


def test_what_dev_has_released_is_promoted_to_prod_once_its_tables_stand(project: Project) -> None:
    """The second job of main; the application's own tables come in between, and the same command goes on."""
    (promote, *_) = workflows.steps("main", "prod")
    stopped = run(project, promote.run)
    assert stopped.returncode == 1
    assert "the table public.users does not exist" in stopped.stderr
    unfinished = project.chatdb("verify", "--stack", "prod")
    assert (unfinished.returncode, "stack prod was never up as a whole" in unfinished.stderr) == (1, True)
    arguments = ("psql", "--stack", "prod", "--product", "lyra", "--role", "administrator", "--")
    project.succeed(*arguments, "-f", "schema/lyra/stand_ins.sql")
    follow(project, "main", "prod")
    releases = [
        json.loads(project.succeed("stack", "output", "--stack", stack, "--json"))["release"]["lyra"]
        for stack in ("dev", "prod")
    ]
    assert releases[0]["digest"] == releases[1]["digest"]


def test_drift_is_looked_for_and_fails_with_what_differs(project: Project) -> None:
    """Nothing on either stack; then a right that nobody declared, and a column that no migration made."""
    for stack in ("dev", "prod"):
        follow(project, "drift", "drift", STACK=stack)
    owner = ("psql", "--stack", "prod", "--product", "lyra", "--role", "migrator", "--", "-c")
    project.succeed(
        *owner,
        "ALTER TABLE public.chat_messages ADD COLUMN stray text; GRANT DELETE ON public.chat_messages TO lyra_app",
    )
    steps = {step.name: step.run for step in workflows.steps("drift", "drift")}
    refresh, verify, access = (run(project, command, STACK="prod") for command in steps.values())
    assert (refresh.returncode, verify.returncode, access.returncode) == (2, 1, 2)
    assert re.search("stray", verify.stdout)
    assert "DELETE on public.chat_messages" in access.stdout
    preview = project.chatdb("preview", "--stack", "prod")
    assert "drift" in preview.stdout
    assert "stray" in preview.stdout
    project.succeed(
        *owner,
        "ALTER TABLE public.chat_messages DROP COLUMN stray; REVOKE DELETE ON public.chat_messages FROM lyra_app",
    )


def test_a_teardown_by_hand_takes_prod_with_its_phrase_and_a_backup_and_dev_at_once(project: Project) -> None:
    """Without the phrase prod stays."""
    refused = run(project, workflows.steps("teardown", "destroy")[-1].run, STACK="prod")
    assert refused.returncode != 0
    assert "stack prod is protected" in refused.stderr
    follow(project, "teardown", "destroy", STACK="prod", CONFIRMATION="DESTROY prod", BACKUPS="backups")
    assert list((project.folder / "backups").rglob("*"))
    follow_dev = run(project, workflows.steps("teardown", "destroy")[-1].run, STACK="dev")
    assert follow_dev.returncode == 0, follow_dev.stderr
    assert not (project.folder / ".chatdb/dev/stack.json").exists()
