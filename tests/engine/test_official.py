"""A toy stack moves between Pulumi's own CLI and the embedded engine, and is unchanged on either."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from embedded import stackfile
from tests.engine.toy import Toy

pytestmark = pytest.mark.skipif(shutil.which("pulumi") is None, reason="Pulumi's own CLI is not on PATH")

PROGRAM = """
g = Group('g')
a = Thing('a', text='one', kind=1, pw=Output.secret('hush-hush'), parts={'l': [1, 2.5, {'m': True}]},
          opts=Opts(parent=g, additional_secret_outputs=['size']))
g.register_outputs({'size': a.size})
b = Thing('b', text=a.id, opts=Opts(protect=True, deleted_with=a, ignore_changes=['kind'], retain_on_delete=True))
pulumi.export('plain', b.size)
pulumi.export('secret', Output.secret({'q': [1]}))
"""


class Official:
    """Pulumi's CLI in the toy's folder, with a backend in it."""

    def __init__(self, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
        (toy.folder / "backend").mkdir()
        monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{toy.folder}/backend")
        monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
        # The program runs on the interpreter of these tests.
        monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")  # noqa: PTH120
        self.toy = toy
        self.run("stack", "init", "dev")

    def run(self, *arguments: str) -> str:
        """Run `pulumi`, which must succeed, and return what it prints."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.toy.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def official(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Official:
    """The CLI, the toy's program in place."""
    toy.program(PROGRAM)
    return Official(toy, monkeypatch)


def test_our_stack_is_unchanged_on_the_cli(toy: Toy, official: Official) -> None:
    """Export, import: preview, refresh and up of the CLI propose nothing."""
    toy.run("up")
    (toy.folder / "ours.json").write_text(json.dumps(stackfile.export_stack(toy.folder, "dev")))
    official.run("stack", "import", "--file", "ours.json")
    for arguments in (["preview"], ["refresh", "--yes", "--skip-preview"], ["up", "--yes", "--skip-preview"]):
        official.run(*arguments, "--expect-no-changes")
    assert json.loads(official.run("stack", "output", "--json", "--show-secrets")) == stackfile.outputs(
        toy.folder, "dev", show_secrets=True
    )


def test_a_stack_of_the_cli_is_unchanged_here(toy: Toy, official: Official) -> None:
    """Export, import: preview, refresh and up propose nothing, and destroy removes what the CLI made."""
    official.run("config", "set", "--secret", "word", "hush")
    official.run("up", "--yes", "--skip-preview")
    exported = json.loads(official.run("stack", "export"))
    assert stackfile.import_stack(toy.folder, "dev", exported) == len(exported["deployment"]["resources"])
    toy.done()
    for operation in ("preview", "refresh", "up"):
        assert not toy.run(operation).changed
    assert toy.done() == []
    ours = {item["urn"]: item for item in stackfile.export_stack(toy.folder, "dev")["deployment"]["resources"]}
    assert ours == {item["urn"]: item for item in exported["deployment"]["resources"]}
