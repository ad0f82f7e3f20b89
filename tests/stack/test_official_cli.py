"""The same program on the official Pulumi CLI, and stacks that move between it and the embedded engine.

The CLI and its postgresql plugin are in no package registry: these tests run where `pulumi` is on PATH.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from embedded.server import ServerFile
from infra import products
from infra.connection import connect
from tests.stack import test_rds_tokens as rds_stack
from tests.stack.test_bad_input import own
from tests.support.aws import Aws
from tests.support.postgres import make_managed_admin
from tests.support.project import Project, copied_project
from tests.support.rds import Rds

pytestmark = pytest.mark.skipif(
    shutil.which("pulumi") is None,
    reason="the official Pulumi CLI is not on PATH; it and its postgresql plugin are in no package registry",
)
PASSPHRASE = "a passphrase for tests"


class Cli:
    """The Pulumi CLI in a copy of the project, with a backend of its own."""

    def __init__(self, project: Project) -> None:
        backend = project.folder / ".chatdb/backend"
        backend.mkdir(parents=True, exist_ok=True)
        self.project = project.with_environment(
            CHATDB_ENGINE="auto",
            PULUMI_BACKEND_URL=f"file://{backend}",
            PULUMI_CONFIG_PASSPHRASE=PASSPHRASE,
            PULUMI_SKIP_UPDATE_CHECK="true",
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `pulumi` to its end."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.project.folder,
            env=self.project.variables(),
            capture_output=True,
            text=True,
            check=False,
        )

    def succeed(self, *arguments: str) -> str:
        """Run `pulumi`, which must succeed, and return its standard output."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def cli() -> Iterator[Cli]:
    """The CLI in a fresh copy of the project, dev's embedded server running."""
    with copied_project() as project:
        made = Cli(project)
        made.project.succeed("server", "start", "--stack", "dev")
        yield made


def test_init_and_up_bring_the_stack_up_and_nothing_changes_after(cli: Cli) -> None:
    """`pulumi stack init dev && pulumi up`; then preview, refresh and up find nothing to change."""
    cli.succeed("stack", "init", "dev")
    cli.succeed("up", "--yes", "--stack", "dev")
    cli.succeed("preview", "--stack", "dev", "--expect-no-changes")
    cli.succeed("refresh", "--yes", "--stack", "dev", "--expect-no-changes")
    cli.succeed("up", "--yes", "--stack", "dev", "--expect-no-changes")
    outputs = json.loads(cli.succeed("stack", "output", "--json", "--stack", "dev"))
    assert sorted(outputs["products"]) == products.names()
    assert outputs["connections"] == dict.fromkeys(products.names(), "[secret]")
    assert cli.project.chatdb("url", "--product", "lyra").stdout.startswith("postgresql://lyra_app:")
    reports = json.loads(cli.project.succeed("verify", "--json"))
    assert {report["product"]: report["ok"] for report in reports} == dict.fromkeys(products.names(), True)
    cli.succeed("destroy", "--yes", "--stack", "dev")


def test_chatdb_runs_the_cli_and_shows_the_pending_sql_in_its_preview(cli: Cli) -> None:
    """`chatdb preview` and `chatdb up` are the CLI where it is; the preview has the SQL of every pending migration."""
    done = cli.project.chatdb("preview", "--stack", "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stack dev on the Pulumi CLI" in done.stderr
    assert "CREATE TABLE IF NOT EXISTS public.chat_messages (" in done.stdout
    assert "lyra_app gains SELECT, INSERT on public.chat_messages" in done.stdout
    assert "nothing to do" not in cli.project.succeed("up", "--stack", "dev", "--yes")
    cli.project.succeed("destroy", "--stack", "dev", "--yes")


def test_a_stack_of_the_embedded_engine_imports_as_unchanged(cli: Cli) -> None:
    """Made here, exported, imported there: preview, refresh and up report no changes."""
    cli.project.succeed("up", "--stack", "dev", "--yes", "--engine", "embedded")
    file = cli.project.folder / "dev.json"
    file.write_text(cli.project.succeed("stack", "export", "--stack", "dev"))
    cli.succeed("stack", "init", "dev")
    cli.succeed("stack", "import", "--stack", "dev", "--file", str(file))
    cli.succeed("preview", "--stack", "dev", "--expect-no-changes")
    cli.succeed("refresh", "--yes", "--stack", "dev", "--expect-no-changes")
    cli.succeed("up", "--yes", "--stack", "dev", "--expect-no-changes")


@pytest.mark.parametrize("refreshed", [False, True], ids=["as made", "refreshed"])
def test_a_stack_of_the_cli_previews_as_unchanged_here(cli: Cli, *, refreshed: bool) -> None:
    """Made there, exported, imported here: nothing to do."""
    cli.succeed("stack", "init", "dev")
    cli.succeed("up", "--yes", "--stack", "dev")
    if refreshed:
        cli.succeed("refresh", "--yes", "--stack", "dev")
    file = cli.project.folder / "dev.json"
    file.write_text(cli.succeed("stack", "export", "--stack", "dev"))
    here = cli.project.with_environment(CHATDB_ENGINE="embedded")
    here.succeed("stack", "import", "--stack", "dev", "--file", str(file))
    assert here.succeed("preview", "--stack", "dev").startswith("nothing to do: ")
    assert here.succeed("up", "--stack", "dev", "--yes").startswith("nothing to do: ")


def settings(server: ServerFile, **changes: Any) -> dict[str, Any]:
    return {**own(server), **changes}


def test_the_text_of_a_failed_update_is_ours(cli: Cli, own_server: ServerFile) -> None:
    """A missing prerequisite reads the same in `pulumi up`: three parts, no traceback."""
    cli.project.write_stack("own", settings(own_server))
    cli.succeed("stack", "init", "own")
    cli.succeed("config", "set", "--stack", "own", "--secret", "chatdb:password", own_server.password)
    done = cli.run("up", "--yes", "--stack", "own")
    said = done.stdout + done.stderr
    cli.succeed("destroy", "--yes", "--stack", "own")
    assert done.returncode != 0
    assert "public.users" in said
    assert "HINT: " in said
    assert "Traceback" not in said
    assert own_server.password not in said


def test_the_gate_stops_preview_and_update_before_anything_is_made(cli: Cli, own_server: ServerFile) -> None:
    """What the source has not released is refused in our words; the stack is left without a resource of a product."""
    cli.succeed("stack", "init", "dev")
    cli.project.write_stack("live", settings(own_server, promoteFrom="dev"))
    cli.succeed("stack", "init", "live")
    cli.succeed("config", "set", "--stack", "live", "--secret", "chatdb:password", own_server.password)
    for arguments in (["preview"], ["up", "--yes", "--skip-preview"]):
        done = cli.run(*arguments, "--stack", "live")
        said = done.stdout + done.stderr
        assert done.returncode != 0
        assert "stack dev has not released what stack live would bring" in said
        assert "lyra 0003: dev has not released it" in said
        assert "HINT: " in said
        assert "Traceback" not in said
    made = json.loads(cli.succeed("stack", "export", "--stack", "live"))["deployment"].get("resources", [])
    assert [resource["type"] for resource in made if not resource["type"].startswith("pulumi:")] == []


def test_a_managed_administrators_stack_is_rotated_and_keeps_every_membership(cli: Cli, own_server: ServerFile) -> None:
    """The plugin's update of a role revokes what its `roles` does not list, and it reads ADMIN where none was asked."""
    managed = make_managed_admin(own_server)
    (cli.project.folder / "server.json").write_text(json.dumps(asdict(managed)))
    wanted = {"serverFile": "server.json", "standIns": True, "onDestroy": "drop", "products": ["lyra"]}
    cli.project.write_stack("own", wanted)
    for step in (["up"], ["rotate"], ["rotate"]):
        cli.project.succeed(*step, "--stack", "own", "--yes")
        cli.succeed("preview", "--stack", "own", "--expect-no-changes")
        assert cli.project.chatdb("access", "--stack", "own", "--product", "lyra").returncode == 0
    cli.succeed("refresh", "--yes", "--stack", "own", "--expect-no-changes")
    cli.project.succeed("config", "set", "--stack", "own", "chatdb:rotation", "1")
    done = cli.run("up", "--yes", "--skip-preview", "--stack", "own")
    assert done.returncode != 0
    assert "chatdb:rotation goes back from 3 to 1" in done.stdout + done.stderr
    cli.project.succeed("config", "set", "--stack", "own", "chatdb:rotation", "3")
    cli.succeed("preview", "--stack", "own", "--expect-no-changes")
    # Plain `pulumi destroy`: who may not be ended is named and nothing is closed; who may is.
    found = json.loads(cli.succeed("stack", "output", "--json", "--show-secrets", "--stack", "own"))
    app = found["connections"]["lyra"]["app"]
    with connect(own_server.target("lyra").to(application_name="monitoring")) as watching:
        done = cli.run("destroy", "--yes", "--stack", "own")
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "cannot drop the database lyra: one session is connected" in said
        assert f"postgres in lyra: pid {watching.info.backend_pid}, monitoring" in said
        assert watching.execute("SELECT datallowconn FROM pg_database WHERE datname = 'lyra'").fetchone() == (True,)
    with connect(own_server.target("lyra").to(user=app["user"], password=app["password"])):
        cli.succeed("destroy", "--yes", "--stack", "own")


def test_dev_is_promoted_and_what_is_kept_is_come_back_to(cli: Cli, own_server: ServerFile, tmp_path: Path) -> None:
    """The whole way on the CLI: release, gate, promotion, policies, guard, backup, keep, and back, with every row."""
    live = settings(own_server, standIns=True, promoteFrom="dev", onDestroy="keep")
    password = ("config", "set", "--stack", "live", "--secret", "chatdb:password", own_server.password)
    cli.project.succeed("config", "set", "--stack", "dev", "chatdb:products", '["lyra"]')
    cli.succeed("stack", "init", "dev")
    cli.succeed("up", "--yes", "--stack", "dev")
    cli.project.write_stack("live", live)
    cli.succeed("stack", "init", "live")
    cli.succeed(*password)
    assert "promoted dev to live" in cli.project.succeed("promote", "--from", "dev", "--to", "live", "--yes")
    releases = [json.loads(cli.succeed("stack", "output", "--json", "--stack", stack)) for stack in ("dev", "live")]
    assert releases[0]["release"]["lyra"]["digests"] == releases[1]["release"]["lyra"]["digests"]
    assert "nothing to promote" in cli.project.succeed("promote", "--from", "dev", "--to", "live")
    cli.succeed("refresh", "--yes", "--stack", "live", "--expect-no-changes")
    assert "chatdb@v" in cli.succeed("preview", "--stack", "live", "--policy-pack", "policy")
    with connect(own_server.target("lyra")) as connection:
        connection.execute("INSERT INTO users SELECT FROM generate_series(1, 3)")

    # Protected in the state, and by its guard where that is taken off.
    refused = cli.run("destroy", "--yes", "--stack", "live")
    assert (refused.returncode != 0, "cannot be deleted" in refused.stdout + refused.stderr) == (True, True)
    cli.succeed("state", "unprotect", "--all", "--yes", "--stack", "live")
    refused = cli.run("destroy", "--yes", "--stack", "live")
    assert "lyra is protected on stack live" in refused.stdout + refused.stderr
    said = cli.project.chatdb("destroy", "--stack", "live", "--yes")
    assert (said.returncode, "3 rows (public.users 3)" in said.stderr) == (1, True)

    # Both steps: kept by chatdb and, again, by the CLI alone; each time `chatdb up` comes back to it.
    cli.succeed("config", "set", "--stack", "live", "chatdb:destroyConfirmation", "DESTROY live")
    cli.succeed("config", "set", "--stack", "live", "chatdb:backupTo", str(tmp_path))
    assert "kept: database lyra" in cli.project.succeed("destroy", "--stack", "live", "--yes")
    assert len(list(tmp_path.rglob("manifest.json"))) == 1
    assert "the data of lyra is kept" in cli.project.succeed("destroy", "--stack", "live", "--yes")
    cli.project.succeed("up", "--stack", "live", "--yes")
    cli.succeed("destroy", "--yes", "--stack", "live")
    cli.project.succeed("up", "--stack", "live", "--yes")
    cli.succeed("refresh", "--yes", "--stack", "live", "--expect-no-changes")
    cli.succeed("preview", "--stack", "live", "--expect-no-changes")
    with connect(own_server.target("lyra")) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (3,)

    # And to its end.
    cli.succeed("config", "set", "--stack", "live", "chatdb:onDestroy", "drop")
    cli.project.succeed("up", "--stack", "live", "--yes")
    assert cli.project.succeed("destroy", "--stack", "live", "--yes").endswith("stack live is gone\n")
    cli.project.succeed("destroy", "--stack", "dev", "--yes")
    with connect(own_server.target()) as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname LIKE 'lyra%'").rowcount == 0


def test_a_stack_by_rds_tokens_lives_there_too(cli: Cli, cloud: Aws, rds: Rds) -> None:
    """The plugin makes tokens of its own, by the credentials and the region that ours are made by; TLS is verified."""
    rds_stack.write(cli.project, rds)
    ready = cli.project.with_environment(**cloud.credentials)
    rds.tokens.clear()
    ready.succeed("up", "--stack", "rds", "--yes")
    assert {user for user, _ in rds.tokens} == {rds.admin, "lyra_migrator"}
    assert ready.chatdb("preview", "--stack", "rds", "--expect-no-changes").returncode == 0
    assert ready.chatdb("refresh", "--stack", "rds", "--yes", "--expect-no-changes").returncode == 0
    assert "X-Amz" not in cli.succeed("stack", "export", "--stack", "rds", "--show-secrets")
    ready.succeed("verify", "--stack", "rds", "--product", "lyra")
    ready.succeed("destroy", "--stack", "rds", "--yes")


def test_a_mistake_in_the_settings_reads_the_same(cli: Cli) -> None:
    """The program's own error is its text alone."""
    cli.project.write_stack("bad", {"prot": 5432})
    cli.succeed("stack", "init", "bad")
    done = cli.run("preview", "--stack", "bad")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "chatdb:prot: there is no such key; did you mean port?" in said
    assert "Traceback" not in said


def test_an_edited_migration_stops_the_preview_with_our_text(cli: Cli) -> None:
    """A refused input is a failed check, and the program that the CLI then cancels leaves no traceback."""
    cli.succeed("stack", "init", "dev")
    cli.succeed("up", "--yes", "--stack", "dev")
    file = next((cli.project.folder / "schema/lyra/migrations").glob("0001_*.sql"))
    file.write_text(file.read_text() + "\n-- edited\n")
    done = cli.run("preview", "--stack", "dev")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "was changed after it was applied" in said
    assert "Traceback" not in said
