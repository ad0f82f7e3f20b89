"""A toy project for the engine's tests: things that are files on disk, with a log of what was really done."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Literal

from embedded import stackfile
from embedded.engine import deployment
from embedded.events import Result, StepEvent

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "correct horse"

MODULE = """
import os, time
from pathlib import Path
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider
from pulumi.dynamic import UpdateResult

HERE = Path(__file__).parent


def note(text):
    with (HERE / "log").open("a") as log:
        log.write(text + "\\n")


class ThingProvider(ResourceProvider):
    serialize_as_secret_always = False

    def configure(self, request):
        self.greeting = request.config.get("greeting")

    def check(self, olds, news):
        if news.get("text") == "refused":
            return CheckResult(news, [CheckFailure("text", "must not be refused")])
        return CheckResult({**news, "checked": True}, [])

    def diff(self, id_, olds, news):
        changed = [key for key in ("kind", "text", "pw", "parts") if olds.get(key) != news.get(key)]
        return DiffResult(bool(changed), ["kind"] if "kind" in changed else [], [], bool(news.get("first")))

    def create(self, props):
        self.work("create", props)
        return CreateResult(props["name"] + "-" + str(props.get("kind")), self.outputs(props))

    def update(self, id_, olds, news):
        self.work("update", news)
        return UpdateResult(self.outputs(news))

    def delete(self, id_, props):
        note("delete " + props["name"])
        if props.get("slow_delete"):
            time.sleep(props["slow_delete"])
        if props.get("text") == "stuck":
            raise ValueError("stuck")
        (HERE / "things" / id_).unlink(missing_ok=True)

    def read(self, id_, props):
        file = HERE / "things" / id_
        return ReadResult(id_, {**props, "text": file.read_text()}) if file.exists() else ReadResult(None, {})

    def work(self, what, props):
        note(what + " " + props["name"])
        if props.get("text") == "broken":
            raise ValueError("it is broken")
        if props.get("slow"):
            time.sleep(props["slow"])
        (HERE / "things").mkdir(exist_ok=True)
        (HERE / "things" / (props["name"] + "-" + str(props.get("kind")))).write_text(str(props.get("text")))

    def outputs(self, props):
        return {**props, "size": len(str(props.get("text"))), "greeting": self.greeting, "none": None}


class Thing(Resource, module="toy", name="Thing"):
    size: "pulumi.Output[int]"

    def __init__(self, name, *, label=None, opts=None, **props):
        super().__init__(ThingProvider(), name, {"name": label or name, "size": None, **props}, opts)
"""

PREAMBLE = """
import pulumi
from pulumi import Alias, ResourceOptions as Opts, Output
from {module} import Thing


class Group(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("toy:index:Group", name, {{}}, opts)

"""


class Toy:
    """A project in a folder of its own. The module's name is its own too: Python keeps modules by name."""

    def __init__(self, folder: Path, *, name: str = "toy") -> None:
        self.folder = folder
        self.module = f"toy_{uuid.uuid4().hex[:12]}"
        self.events: list[StepEvent] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.module}.py").write_text(MODULE)
        (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\nconfig:\n  greeting: {{default: hello}}\n")
        (folder / "Pulumi.dev.yaml").write_text("# the toy's settings\nconfig: {}\n")
        self.program("")

    def program(self, text: str) -> None:
        """Replace the program's own part."""
        (self.folder / "__main__.py").write_text(PREAMBLE.format(module=self.module) + text)

    def run(self, operation: Literal["preview", "up", "refresh", "destroy"], *, stack: str = "dev") -> Result:
        """Run the engine in this process; the events are those of this run."""
        self.events = []
        return deployment.run(operation, project=self.folder, stack=stack, report=self.events.append)

    def up(self, text: str) -> list[str]:
        """Bring the program up and return what was really done, in its order."""
        self.program(text)
        self.done()
        self.run("up")
        return self.done()

    def done(self) -> list[str]:
        """Return and forget what was really done since the last time."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def start(self, operation: str) -> subprocess.Popen[str]:
        """Run the engine in a process of its own."""
        code = (
            "import sys; from pathlib import Path\n"
            "from embedded.engine import deployment; from infra.errors import ChatdbError\n"
            f"try: deployment.run({operation!r}, project=Path({str(self.folder)!r}), stack='dev')\n"
            "except ChatdbError as error: sys.exit(str(error))"
        )
        return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def resources(self, *, stack: str = "dev") -> dict[str, dict[str, Any]]:
        """Return the resources of the state by name, secrets in plain; default providers left out."""
        found = stackfile.export_stack(self.folder, stack, show_secrets=True)["deployment"]["resources"]
        return {item["urn"].rsplit("::", 1)[1]: item for item in found if "pulumi:providers" not in item["type"]}

    @property
    def state_text(self) -> str:
        """The state as it stands on the disk."""
        return (self.folder / ".chatdb" / "dev" / "stack.json").read_text()

    @property
    def planned(self) -> list[tuple[str, str]]:
        """Operation and name of each step of the last run."""
        return [(event.operation, event.name) for event in self.events if event.type and event.phase != "start"]
