"""Every command of the README, run in its order in a copy of the project."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from embedded.server import ServerFile
from infra import naming, products
from infra.products import PROJECT_ROOT
from tests.stack.test_bad_input import prepared, removed
from tests.support.documentation import made_project, run, shown
from tests.support.project import Project

COMMANDS = [one.command for one in shown(PROJECT_ROOT / "README.md")]
# Would run itself: that it is what CI runs is asserted instead.
ITSELF = "make test"


def on(words: str) -> list[str]:
    """Return the README's commands that begin with one of the words."""
    return [command for command in COMMANDS if command.startswith(tuple(words.split("|")))]


@pytest.fixture(scope="module")
def fresh() -> Iterator[Project]:
    """A copy of the project with its Makefile."""
    with made_project() as project:
        yield project


def test_the_readme_has_no_command_that_no_test_here_runs() -> None:
    """A new command in the README needs a place in this file."""
    run_here = {*LIFE, *PRODUCTION, *ANOTHER, *WITHOUT_A_STACK, *OFFICIAL, ITSELF}
    assert [command for command in COMMANDS if command not in run_here] == []


LIFE = [
    *on("make up|make down|make destroy|.venv/bin/chatdb psql|.venv/bin/chatdb url|.venv/bin/chatdb verify"),
    ".venv/bin/chatdb history --product robotics",
    ".venv/bin/chatdb preview",
    ".venv/bin/chatdb server start",
    ".venv/bin/chatdb stack export > dev.json",
]
PRODUCTION = [command for command in COMMANDS if "--stack prod" in command]
ANOTHER = [command for command in COMMANDS if "pr-7" in command]
WITHOUT_A_STACK = on("export DATABASE_URL|.venv/bin/chatdb apply")
OFFICIAL = on("pulumi")


def test_make_test_is_what_ci_runs() -> None:
    """`.ci/run` calls `make test` and nothing hidden; `make test` runs pytest."""
    assert (PROJECT_ROOT / ".ci/run").read_text().rstrip().endswith("exec make test")
    assert ITSELF in COMMANDS
    planned = subprocess.run(
        ["make", "--dry-run", "test"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "-m pytest" in planned


def test_the_commands_of_the_two_command_start(fresh: Project) -> None:
    """From `make up` to `make destroy`, each exits 0, and what the README shows of the output is there."""
    order = [command for command in COMMANDS if command in LIFE and not command.startswith("make d")]
    for command in [*order, "make down", "make up"]:
        done = run(fresh, command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command == order[0]:
            assert "futureguide  version 0003  verified, 316 facts" in done.stdout
            assert "  connect  chatdb psql --product futureguide" in done.stdout


def test_the_commands_for_a_server_of_your_own(fresh: Project, own_server: ServerFile) -> None:
    """The three settings are written, the password encrypted; the preview then reaches for the server, dev being up."""
    stack_file = fresh.folder / "Pulumi.prod.yaml"
    before = stack_file.read_text()
    said = ""
    for command in PRODUCTION:
        shown = command.replace("db.example.com", own_server.host).replace(" postgres", f" {own_server.username}")
        done = run(fresh, shown, typed=f"{own_server.password}\n")
        said = done.stdout + done.stderr
        if "preview" not in command:
            assert done.returncode == 0, f"{command}\n{said}"
    written = stack_file.read_text()
    stack_file.write_text(before)
    assert own_server.password not in written
    assert "secure: v1:" in written
    assert "+ lyra-database  Database" in said


def test_the_last_command_of_the_start_removes_what_the_first_made(fresh: Project) -> None:
    """`make destroy`, once what is promoted from dev was."""
    done = run(fresh, "make destroy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (fresh.folder / ".chatdb/dev").exists()


def test_the_commands_for_another_stack(fresh: Project) -> None:
    """A copy of dev's lines comes up on a server of its own and goes away whole; one product is enough to see it."""
    copy, *rest = ANOTHER
    for command in (copy, ".venv/bin/chatdb config set --stack pr-7 chatdb:products '[\"lyra\"]'", *rest):
        done = run(fresh, command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if " up " in command:
            assert (fresh.folder / ".chatdb/pr-7/server/server.json").exists()
            assert "chatdb psql --product lyra --stack pr-7" in done.stdout
    assert not (fresh.folder / ".chatdb/pr-7").exists()


def test_the_commands_without_a_stack(fresh: Project, own_server: ServerFile) -> None:
    """DATABASE_URL is enough for `chatdb apply`."""
    robotics = products.load("robotics")
    prepared(own_server, "robotics", robotics.stand_ins_file.read_text(encoding="utf-8"))
    try:
        target = own_server.target(robotics.database)
        address = f"postgresql://{target.user}:{target.password}@{target.host}:{target.port}/{target.database}"
        export, apply = WITHOUT_A_STACK
        assert export.startswith('export DATABASE_URL="postgresql://user:password@host/database')
        owner = naming.role_names(robotics).owner
        done = run(fresh, f"{apply} --owner {owner}", DATABASE_URL=address)
    finally:
        removed(own_server, "robotics")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cascading delete: yes" in done.stdout


@pytest.mark.skipif(
    shutil.which("pulumi") is None,
    reason="the official Pulumi CLI is not on PATH; it and its postgresql plugin are in no package registry",
)
def test_the_commands_of_the_official_cli(fresh: Project) -> None:
    """With dev's server started, `pulumi stack init dev` and `pulumi up` bring the stack up."""
    backend = fresh.folder / ".chatdb/backend"
    backend.mkdir(parents=True, exist_ok=True)
    official = fresh.with_environment(PULUMI_BACKEND_URL=f"file://{backend}", PULUMI_CONFIG_PASSPHRASE="test")
    fresh.succeed("server", "start", "--stack", "dev")
    for command in OFFICIAL:
        shown = f"{command} --yes" if command == "pulumi up" else command
        done = run(official, shown)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert run(official, "pulumi destroy --yes").returncode == 0
    fresh.succeed("destroy", "--stack", "dev", "--yes")
