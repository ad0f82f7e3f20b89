"""`chatdb config`: the settings in a stack's file, refused at once where no run would take them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell

REFUSED = {
    "unknown key": (("chatdb:hots", "x"), "hots: there is no such key; did you mean host?"),
    "key without namespace": (("hots", "x"), "hots: there is no such key; did you mean host?"),
    "no number": (("chatdb:port", "many"), "port: input should be a valid integer"),
    "no port": (("chatdb:port", "70000"), "port: input should be less than or equal to 65535; for example 5432"),
    "no list": (
        ("chatdb:products", "lyra"),
        'products: input should be a valid list; for example ["lyra", "storefront"]',
    ),
    "password in plain": (
        ("chatdb:password", "hush"),
        "password: stands in plain text; set it with `chatdb config set",
    ),
}


@pytest.mark.parametrize(("arguments", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_run_would_take_is_refused_before_it_is_written(
    shell: Shell, arguments: tuple[str, str], reason: str
) -> None:
    file = shell.project.folder / "Pulumi.dev.yaml"
    before = file.read_text()
    done = shell.run(None, "config", "set", "--stack", "dev", *arguments)
    assert done.returncode == 1
    assert f"DETAIL: {reason}" in done.stderr
    assert "STATE: Nothing was changed." in done.stderr
    assert "hush" not in done.stderr
    assert file.read_text() == before


def test_settings_are_set_listed_and_removed(own_shell: Shell) -> None:
    """Keys of other namespaces are Pulumi's to know; secrets are not shown; comments stay."""
    file = own_shell.project.folder / "Pulumi.dev.yaml"
    before = file.read_text()
    listed = json.loads(own_shell.done(None, "config", "list", "--json"))
    for key, value in (("chatdb:products", '["lyra"]'), ("aws:region", "eu-central-1")):
        own_shell.done(None, "config", "set", key, value)
    own_shell.run(None, "config", "set", "--secret", "chatdb:password", typed="hush-hush\n")
    added = {"chatdb:products": ["lyra"], "aws:region": "eu-central-1", "chatdb:password": "[secret]"}
    assert json.loads(own_shell.done(None, "config", "list", "--json")) == {**listed, **added}
    assert "chatdb:password: [secret]\n" in own_shell.done(None, "config", "list")
    for key in ("products", "aws:region", "chatdb:password"):
        own_shell.done(None, "config", "remove", key)
    assert file.read_text().startswith(before)
    assert json.loads(own_shell.done(None, "config", "list", "--json")) == listed
    unknown = own_shell.run(None, "config", "remove", "chatdb:standin")
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (
        1,
        "there is no setting in Pulumi.dev.yaml named 'chatdb:standin'",
    )
    assert "Did you mean chatdb:standIns?" in unknown.stderr


def test_a_secret_is_typed_unseen(own_shell: Shell) -> None:
    """On a terminal it is asked for, and what is typed does not appear."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli", "config", "set", "--secret", "chatdb:password"]
    project = own_shell.project
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.variables(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen = b""
        while b"chatdb:password: " not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, b"hush-hush\n")
        while b"(encrypted)" not in seen:
            seen += os.read(ours, 1024)
    os.close(ours)
    assert process.returncode == 0
    assert b"hush" not in seen
    assert "hush" not in (project.folder / "Pulumi.dev.yaml").read_text()
