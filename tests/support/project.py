"""A copy of the project in which whole commands run, so that no stack of the working tree is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.products import PROJECT_ROOT
from tests.support import aws

COPIED = (
    ".squawk.toml",
    "Pulumi.yaml",
    "Pulumi.dev.yaml",
    "Pulumi.prod.yaml",
    "__main__.py",
    "cli",
    "embedded",
    "infra",
    "policy",
    "schema",
)
# What the machine may have set must not reach a test.
UNSET = (
    "DATABASE_URL",
    "POSTGRES_URL",
    "PGHOST",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGSERVICE",
    "PGSSLMODE",
    # A copy keeps what Python compiles: it would be compiled anew in each command.
    "PYTHONDONTWRITEBYTECODE",
    "CHATDB_STACK",
    "CHATDB_ENGINE",
    "PULUMI_CONFIG_PASSPHRASE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "TRACEPARENT",
    *aws.UNSET,
)


@dataclass(frozen=True)
class Project:
    """A copy of the project.

    Attributes:
        folder: Where it is.
        environment: Variables that each command gets beside the inherited ones.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def with_environment(self, **variables: str) -> Project:
        """Return the same project with more variables."""
        return Project(self.folder, {**self.environment, **variables})

    def chatdb(self, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `chatdb` to its end; nothing is typed unless given."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=self.folder,
            env=self.variables(**variables),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )

    def succeed(self, *arguments: str, **variables: str) -> str:
        """Run `chatdb`, which must succeed, and return its standard output."""
        done = self.chatdb(*arguments, **variables)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment of a command in this project."""
        inherited = {key: value for key, value in os.environ.items() if key not in UNSET}
        here = {"PYTHONPATH": str(self.folder), "CHATDB_PROJECT": str(self.folder), "COLUMNS": "160"}
        return {**inherited, **here, **self.environment, **more}

    def write_stack(self, stack: str, settings: dict[str, Any]) -> None:
        """Write a stack's file from settings without their namespace; JSON is YAML."""
        config = {f"chatdb:{key}": value for key, value in settings.items()}
        (self.folder / f"Pulumi.{stack}.yaml").write_text(json.dumps({"config": config}), encoding="utf-8")

    def state(self, stack: str) -> dict[str, Any]:
        """Return the deployment JSON of a stack on the embedded engine."""
        loaded: dict[str, Any] = json.loads(self.succeed("stack", "export", "--stack", stack))
        return loaded


@contextmanager
def copied_project() -> Iterator[Project]:
    """Copy the project for the length of the block; embedded servers in it are removed at its end."""
    with tempfile.TemporaryDirectory(prefix="chatdb-project-") as name:
        folder = Path(name) / "chatdb"
        folder.mkdir()
        Path(name).chmod(0o755)  # the account that runs PostgreSQL passes through it
        for entry in COPIED:
            source = PROJECT_ROOT / entry
            if source.is_dir():
                shutil.copytree(source, folder / entry)
            else:
                shutil.copy(source, folder / entry)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        project = Project(folder, {"CHATDB_ENGINE": "embedded"})
        try:
            yield project
        finally:
            for stack in folder.glob(".chatdb/*/server/server.json"):
                project.chatdb("server", "stop", "--stack", stack.parent.parent.name)
