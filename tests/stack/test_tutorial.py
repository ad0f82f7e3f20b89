"""The tutorial, as a new user would follow it: each command in its order in a copy of the project."""

from __future__ import annotations

from infra.products import PROJECT_ROOT
from tests.support.documentation import made_project, run, shown

STOPS = "stops: "


def test_every_command_of_the_tutorial_does_what_it_says() -> None:
    """Exit status 0, but where a comment says that it stops, and why."""
    with made_project() as project:
        for command, comment in shown(PROJECT_ROOT / "docs/tutorial.md"):
            done = run(project, command)
            said = f"{command}\n{done.stdout}\n{done.stderr}"
            if comment.startswith(STOPS):
                assert done.returncode == 1, said
                assert comment.removeprefix(STOPS) in said
            else:
                assert done.returncode == 0, said
            if command == ".venv/bin/chatdb preview --stack dev":
                assert "ALTER TABLE public.chat_messages ADD COLUMN pinned boolean" in done.stdout
        assert sorted(path.name for path in (project.folder / "backups").iterdir())
        assert not list((project.folder / ".chatdb").glob("*/server"))
