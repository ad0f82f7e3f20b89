"""The state on the disk, secrets in it and in the stack's settings, export and import."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from embedded import editing, settings, stackfile
from embedded.engine import state
from embedded.engine.secrets import Vault
from embedded.engine.values import Secret
from infra.errors import ChatdbError, SettingsError
from tests.engine.toy import Toy

# Written by Pulumi's own CLI, with the passphrase "pw": the salt, a setting, a property (which is JSON).
SALT = "v1:842DGThwmCc=:v1:pL9Rapr1v5VWzbPE:SYwdXpDBmBlewR7gQK0dNFFV4nCNDw=="
SETTING = "v1:dVpnXwZ9LVTJim2t:N8Isf8igtkCxDgpJibzvEnUa7g=="
PROPERTY = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "v1:k4XbxFbQtN4gpQY3:z56NjdzucLlc6bSbAa91fVgWWkY5fWGb6Q==",
}


def test_secrets_of_the_official_cli_are_read() -> None:
    """Ciphertexts written by the CLI decrypt, and an unchanged one is written back as it was."""
    vault = Vault("pw", SALT)
    assert vault.decrypt(SETTING) == "abc"
    assert vault.decode(PROPERTY, "here") == Secret({"q": [1]})
    assert vault.encode(Secret({"q": [1]}), "here") == PROPERTY
    assert vault.encode(Secret({"q": [2]}), "here") != PROPERTY


def test_a_new_salt_carries_its_own_check() -> None:
    """What one vault encrypts another with the same passphrase and salt decrypts; a wrong passphrase is told."""
    vault = Vault("right")
    assert Vault("right", vault.salt).decrypt(vault.encrypt("word")) == "word"
    with pytest.raises(ChatdbError, match="the passphrase is not the one this stack's secrets were encrypted with"):
        Vault("wrong", vault.salt).encrypt("word")


def test_a_stack_without_passphrase_gets_one_of_its_own(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is generated once, readable by the owner alone, and never for a stack that has secrets already."""
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    toy.up("pulumi.export('pw', Output.secret('hush-hush'))\n")
    file = toy.folder / ".chatdb/dev/passphrase"
    assert file.stat().st_mode & 0o777 == 0o600
    assert stackfile.outputs(toy.folder, "dev", show_secrets=True) == {"pw": "hush-hush"}
    file.unlink()
    with pytest.raises(ChatdbError, match="the passphrase of stack dev is not known"):
        toy.run("up")


def test_the_manifest_is_the_official_one(toy: Toy) -> None:
    """Version 3, the manifest's magic is the digest of its version, the salt stands with the secrets provider."""
    toy.up("a = Thing('a', parts=[1, 2.5])\nThing('b', opts=Opts(depends_on=[a]))\n")
    found = stackfile.export_stack(toy.folder, "dev")
    manifest = found["deployment"]["manifest"]
    assert found["version"] == 3
    assert manifest["magic"] == hashlib.sha256(manifest["version"].encode()).hexdigest()
    assert found["deployment"]["secrets_providers"]["state"]["salt"].startswith("v1:")
    types = [item["type"].rsplit(":", 1)[-1] for item in found["deployment"]["resources"]]
    assert types == ["Stack", "pulumi-python", "Thing", "Thing"]
    assert '"parts":[1,2.5]' in toy.state_text


def test_an_export_imported_elsewhere_is_unchanged(toy: Toy, tmp_path: Path) -> None:
    """The same program on an imported state has nothing to do."""
    text = "Thing('a', pw=Output.secret('hush'))\npulumi.export('pw', Output.secret('hush'))\n"
    toy.up(text)
    exported = json.loads(json.dumps(stackfile.export_stack(toy.folder, "dev", show_secrets=True)))
    other = Toy(tmp_path / "other")
    other.module = toy.module
    other.program(text)
    (other.folder / f"{toy.module}.py").write_text((toy.folder / f"{toy.module}.py").read_text())
    assert stackfile.import_stack(other.folder, "dev", exported) == 3
    assert not other.run("up").changed
    assert "hush" not in other.state_text


BAD = {
    "another version": ({"version": 4, "deployment": {}}, "this is not a deployment the embedded engine can read"),
    "no deployment": ({"hello": 1}, "this is not a deployment the embedded engine can read"),
    "another secrets provider": (
        {"version": 3, "deployment": {"secrets_providers": {"type": "service"}}},
        "this is not a deployment the embedded engine can read",
    ),
    "another stack": (
        {"version": 3, "deployment": {"resources": [{"urn": "urn:pulumi:prod::toy::a:b:C::d"}]}},
        "the deployment is that of stack prod, not of dev",
    ),
}


@pytest.mark.parametrize(("deployment", "message"), BAD.values(), ids=BAD)
def test_what_is_no_deployment_of_this_stack_is_refused(toy: Toy, deployment: dict[str, object], message: str) -> None:
    """The error says what it is; the state stays as it was."""
    with pytest.raises(ChatdbError, match=message):
        stackfile.import_stack(toy.folder, "dev", deployment)
    assert not (toy.folder / ".chatdb/dev/stack.json").exists()


def test_a_damaged_state_is_never_overwritten(toy: Toy) -> None:
    """Half a file is an error, not an empty stack."""
    toy.up("Thing('a')\n")
    file = toy.folder / ".chatdb/dev/stack.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(ChatdbError, match="the state of stack dev cannot be read"):
        toy.run("up")
    assert len(file.read_text()) == 200


def test_config_set_keeps_comments_and_brings_the_salt_with_the_first_secret(toy: Toy) -> None:
    """A secret is read back by the program; the file's own lines stay."""
    toy.up("Thing('a', pw=Output.secret('x'))\n")
    before = (toy.folder / "Pulumi.dev.yaml").read_text()
    editing.set_value(toy.folder, "dev", "port", "5433")
    editing.set_value(toy.folder, "dev", "word", "hush-hush", secret=True)
    text = (toy.folder / "Pulumi.dev.yaml").read_text()
    assert text.startswith(before.splitlines()[0])
    assert "toy:port: 5433" in text
    assert "hush-hush" not in text
    assert f"encryptionsalt: {state.salt_of(stackfile.export_stack(toy.folder, 'dev'))}" in text
    toy.up(
        "c = pulumi.Config()\npulumi.export('word', c.require_secret('word'))\npulumi.export('p', c.get_int('port'))\n"
    )
    assert stackfile.outputs(toy.folder, "dev", show_secrets=True) == {"word": "hush-hush", "p": 5433}
    assert "hush-hush" not in toy.state_text


SETTINGS = {
    "default": ("greeting: {default: hi}", "{}", {"toy:greeting": "hi"}),
    "value": ("greeting: {value: hi}", "{}", {"toy:greeting": "hi"}),
    "plain value": ("greeting: hi", "{}", {"toy:greeting": "hi"}),
    "the stack's own": ("greeting: {default: hi}", "{toy:greeting: ho}", {"toy:greeting": "ho"}),
    "boolean": ("on: {type: boolean, default: true}", "{toy:off: false}", {"toy:on": "true", "toy:off": "false"}),
    "number": ("n: {type: integer, default: 5}", "{}", {"toy:n": "5"}),
    "list": ("l: {type: array, items: {type: string}, default: [b, a]}", "{}", {"toy:l": '["b","a"]'}),
    "map": ("m: {default: {b: 1, a: [x]}}", "{}", {"toy:m": '{"a":["x"],"b":1}'}),
    "other namespace": ("aws:region: {default: eu}", "{}", {"aws:region": "eu"}),
}


@pytest.mark.parametrize(("declared", "given", "expected"), SETTINGS.values(), ids=SETTINGS)
def test_settings_reach_the_program_as_the_cli_gives_them(
    toy: Toy, declared: str, given: str, expected: dict[str, str]
) -> None:
    """Defaults of the project under the stack's own; lists and maps as JSON with sorted keys."""
    (toy.folder / "Pulumi.yaml").write_text(f"name: toy\nruntime: python\nconfig:\n  {declared}\n")
    (toy.folder / "Pulumi.dev.yaml").write_text(f"config: {given}\n")
    assert settings.load(toy.folder, "dev", Vault("x")).plain == expected


def test_config_set_writes_a_list_where_the_project_declares_one(toy: Toy) -> None:
    """The Pulumi CLI refuses its text there; elsewhere the same text stays text, and what is no JSON stays as it is."""
    (toy.folder / "Pulumi.yaml").write_text(
        "name: toy\nruntime: python\nconfig:\n  l: {type: array, items: {type: string}}\n  s: {default: x}\n"
    )
    for key in ("l", "s"):
        editing.set_value(toy.folder, "dev", key, '["a", "b"]')
    assert settings.stack_values(toy.folder, "dev") == {"toy:l": ["a", "b"], "toy:s": '["a", "b"]'}
    editing.set_value(toy.folder, "dev", "l", "a, b")
    assert settings.stack_values(toy.folder, "dev")["toy:l"] == "a, b"


def test_every_missing_setting_is_named(toy: Toy) -> None:
    """Declared without default and not given: an error with the command that sets it."""
    (toy.folder / "Pulumi.yaml").write_text(
        "name: toy\nruntime: python\nconfig:\n  a: {type: string}\n  b: {type: string}\n"
    )
    with pytest.raises(SettingsError, match="stack dev lacks toy:a, toy:b"):
        toy.run("preview")
