"""What is left of a run that was killed, and what the next one makes of it; two runs at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedded import lock
from embedded.lock import StackLockedError
from tests.engine.toy import ROOT, Toy


def wait_for(toy: Toy, line: str) -> None:
    """Wait until the provider has noted the line."""
    for _ in range(2000):
        if (toy.folder / "log").exists() and line in (toy.folder / "log").read_text():
            return
        time.sleep(0.01)
    raise AssertionError(line)


def kill(process: subprocess.Popen[str]) -> None:
    """End the process as a crash would."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_run_killed_while_creating_is_gone_on_with(toy: Toy) -> None:
    """The state names what was under way; the next run warns of it, makes it, and makes nothing twice."""
    toy.program("a = Thing('a')\nThing('b', slow=30, opts=Opts(depends_on=[a]))\n")
    process = toy.start("up")
    wait_for(toy, "create b")
    kill(process)
    assert '"type":"creating"' in toy.state_text
    assert toy.up("a = Thing('a')\nThing('b', opts=Opts(depends_on=[a]))\n") == ["create b"]
    warnings = [event.message for event in toy.events if event.phase == "warning"]
    assert warnings == [
        "the last run was interrupted while creating pulumi-python:dynamic/toy:Thing b; it is done again"
    ]
    assert '"pending_operations":[]' in toy.state_text
    assert not toy.run("up").changed


def test_a_run_killed_while_updating_updates_again(toy: Toy) -> None:
    """Even where the program went back to what it was, since nobody knows how far the update came."""
    toy.up("Thing('a', text='one')\n")
    toy.program("Thing('a', text='two', slow=30)\n")
    process = toy.start("up")
    wait_for(toy, "update a")
    kill(process)
    assert toy.up("Thing('a', text='one')\n") == ["update a"]
    assert toy.up("Thing('a', text='one')\n") == []


def test_a_replacement_killed_half_way_is_finished(toy: Toy) -> None:
    """Deleted and not made again: the next run makes it. Made and the old not deleted: the next run deletes it."""
    toy.up("Thing('a', kind=1, first=True)\n")
    toy.program("Thing('a', kind=2, first=True, slow=30)\n")
    process = toy.start("up")
    wait_for(toy, "create a")
    kill(process)
    assert '"pendingReplacement":true' in toy.state_text
    assert toy.up("Thing('a', kind=2, first=True)\n") == ["create a"]
    toy.up("Thing('a', kind=2)\nThing('b', kind=1)\n")
    toy.program("a = Thing('a', kind=3)\nThing('b', kind=2, slow=30, opts=Opts(depends_on=[a]))\n")
    toy.done()
    process = toy.start("up")
    wait_for(toy, "create b")
    kill(process)
    assert '"delete":true' in toy.state_text
    assert toy.up("a = Thing('a', kind=3)\nThing('b', kind=2, opts=Opts(depends_on=[a]))\n") == [
        "create b",
        "delete b",
        "delete a",
    ]
    assert sorted(path.name for path in (toy.folder / "things").iterdir()) == ["a-3", "b-2"]


@pytest.mark.parametrize("seed", range(6))
def test_kills_at_any_moment_end_where_an_undisturbed_run_does(toy: Toy, seed: int) -> None:
    """Runs are killed at random until one comes through; the things and the state are as they should be."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    wanted = "".join(
        f"r{i} = Thing('r{i}', kind={seed + 1}, text='{i}', slow=0.02, "
        f"opts=Opts(depends_on=[{f'r{i - 1}' if i % 3 else ''}]))\n"
        for i in range(8)
    )
    toy.up(wanted.replace(f"kind={seed + 1}", "kind=0"))
    toy.program(wanted)
    for _ in range(12):
        process = toy.start("up")
        try:
            process.wait(0.5 + chance.random() * 0.8)
            break
        except subprocess.TimeoutExpired:
            kill(process)
    toy.run("up")
    assert not toy.run("up").changed
    assert sorted(path.name for path in (toy.folder / "things").iterdir()) == [f"r{i}-{seed + 1}" for i in range(8)]
    assert set(toy.resources()) == {"toy-dev", *(f"r{i}" for i in range(8))}


def start_chatdb(toy: Toy, operation: str) -> subprocess.Popen[str]:
    """Run the command line on the toy, as a user does."""
    command = [sys.executable, "-m", "cli", operation, "--stack", "dev", "--yes", "--engine", "embedded"]
    environment = {**os.environ, "CHATDB_PROJECT": str(toy.folder)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C: the run ends with 130 and a text of ours, without a traceback."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "interrupted" in said
    for unwanted in ("Traceback", "Exception ignored", "coroutine", "Error:"):
        assert unwanted not in said, said


def test_an_interrupted_up_ends_what_is_under_way_and_begins_nothing_more(toy: Toy) -> None:
    """Ctrl-C: the create that runs comes to its end and into the state; the next run makes the rest."""
    text = "a = Thing('a')\nb = Thing('b', slow=2, opts=Opts(depends_on=[a]))\nThing('c', opts=Opts(depends_on=[b]))\n"
    toy.program(text + "[Thing(f'd{i}', slow=0.2, opts=Opts(depends_on=[a])) for i in range(9)]\n")
    process = start_chatdb(toy, "up")
    wait_for(toy, "create b")
    interrupt(process)
    done = toy.done()
    assert done[-1] == "create b"
    assert set(toy.resources()) == {"toy-dev", *(line.removeprefix("create ") for line in done)}
    assert '"pending_operations":[]' in toy.state_text
    assert toy.up(text)[0] == "create c"


def test_an_up_that_is_interrupted_again_is_left_at_once(toy: Toy) -> None:
    """However often Ctrl-C is pressed; the state names what was under way, and the next run does it again."""
    toy.program("Thing('a', slow=30)\n")
    process = start_chatdb(toy, "up")
    wait_for(toy, "create a")
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    while "what is under way comes to its end first" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    # Pressed while the first answer is being written, that stands here a second time.
    assert "interrupted\nDETAIL: " in said
    assert "Traceback" not in said
    assert '"type":"creating"' in toy.state_text
    toy.program("Thing('a')\n")
    toy.run("up")
    assert "a" in toy.resources()


def test_an_interrupted_destroy_names_what_was_under_way(toy: Toy) -> None:
    """Ctrl-C in a delete: nobody knows how far it came; the state says so, and the next run deletes it again."""
    # Without it the stack is a protected one.
    (toy.folder / "Pulumi.dev.yaml").write_text("config:\n  chatdb:onDestroy: drop\n")
    toy.up("a = Thing('a', slow_delete=2)\nThing('b', opts=Opts(depends_on=[a]))\n")
    toy.done()
    process = start_chatdb(toy, "destroy")
    wait_for(toy, "delete a")
    interrupt(process)
    assert toy.done() == ["delete b", "delete a"]
    assert '"type":"deleting"' in toy.state_text
    assert set(toy.resources()) == {"toy-dev", "a"}
    toy.run("destroy")
    assert toy.done() == ["delete a"]
    assert [event.message for event in toy.events if event.phase == "warning"] == [
        "the last run was interrupted while deleting pulumi-python:dynamic/toy:Thing a; it is done again"
    ]


def test_a_second_run_is_told_who_holds_the_stack(toy: Toy) -> None:
    """Two processes: the later one names the operation and the process of the first, and does nothing."""
    toy.program("Thing('a', slow=3)\n")
    process = toy.start("up")
    wait_for(toy, "create a")
    with pytest.raises(StackLockedError, match="stack dev is locked by another run") as raised:
        toy.run("up")
    assert f"`up` by process {process.pid} on " in raised.value.detail
    assert process.wait() == 0
    assert toy.done() == ["create a"]


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    """A lock goes with its holder, however that ended."""
    code = (
        "import os, time; from pathlib import Path; from embedded import lock\n"
        f"with lock.hold(Path({str(tmp_path)!r}), stack='dev', operation='up'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(StackLockedError), lock.hold(tmp_path, stack="dev", operation="up"):
        pass
    kill(process)
    with lock.hold(tmp_path, stack="dev", operation="up"):
        assert f"process {os.getpid()} on " in (tmp_path / "lock").read_text()
