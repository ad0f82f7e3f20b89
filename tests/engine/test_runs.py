"""Whole runs of the embedded engine over a toy project whose resources are files on disk."""

from __future__ import annotations

import pytest

from embedded import stackfile
from embedded.engine.errors import NotDoneError
from infra.errors import ChatdbError, UnknownNameError
from tests.engine.toy import Toy

TWO = "a = Thing('a', text='one')\nb = Thing('b', text=a.size.apply(str))\n"


def test_preview_does_nothing_and_shows_each_property(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview, also one that is refused, leaves no file, lock or passphrase, and masks secrets in what it shows."""
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    toy.program("Thing('a', text='refused')\n")
    with pytest.raises(ChatdbError, match="must not be refused"):
        toy.run("preview")
    toy.program("Thing('a', text='one', pw=Output.secret('hush'))\n")
    result = toy.run("preview")
    assert toy.done() == []
    assert not (toy.folder / ".chatdb").exists()
    assert result.changes == {"create": 2}
    shown = {change.path: change.new for event in toy.events for change in event.changes}
    assert shown == {"checked": True, "name": "a", "pw": "[secret]", "text": "one"}


def test_up_creates_in_the_order_of_dependencies(toy: Toy) -> None:
    """What uses an output is made after what gives it, with the value it gave."""
    assert toy.up(TWO) == ["create a", "create b"]
    assert toy.resources()["b"]["inputs"]["text"] == "3"


def test_second_up_does_nothing_and_leaves_the_state_as_it_is(toy: Toy) -> None:
    """Nothing to do leaves the file's bytes alone."""
    toy.up(TWO)
    before = toy.state_text
    assert toy.up(TWO) == []
    assert toy.state_text == before


def test_update_changes_in_place_and_follows_outputs(toy: Toy) -> None:
    """A changed input is an update of the resource and of what uses its outputs."""
    toy.up(TWO)
    assert toy.up(TWO.replace("'one'", "'longer'")) == ["update a", "update b"]
    changes = [(event.name, change.path, change.old, change.new) for event in toy.events for change in event.changes]
    assert ("b", "text", "3", "6") in changes


def test_replace_creates_before_it_deletes(toy: Toy) -> None:
    """The new one stands before the old one goes."""
    toy.up("Thing('a', kind=1)\n")
    assert toy.up("Thing('a', kind=2)\n") == ["create a", "delete a"]
    assert (toy.folder / "things/a-2").exists()
    assert not (toy.folder / "things/a-1").exists()


def test_delete_before_replace_takes_dependents_along(toy: Toy) -> None:
    """Dependents that a replaced input would replace go first and come back last; others stay."""
    text = "a = Thing('a', kind={kind}, first=True)\nThing('b', kind=a.id, first=True)\nThing('c', text=a.id)\n"
    toy.up(text.format(kind=1))
    done = toy.up(text.format(kind=2))
    assert done[:3] == ["delete b", "delete a", "create a"]
    assert sorted(done[3:]) == ["create b", "update c"]  # they wait for the same, and the SDK asks in threads


def test_what_leaves_the_program_is_deleted_in_reverse(toy: Toy) -> None:
    """Deletes go against the order of dependencies."""
    toy.up(TWO)
    assert toy.up("") == ["delete b", "delete a"]


def test_a_protected_resource_stops_the_run_before_anything_is_done(toy: Toy) -> None:
    """Every protected resource that would go is named, and what the program adds is not made."""
    toy.up("[Thing(n, opts=Opts(protect=True)) for n in 'ab']\n")
    toy.program("Thing('new')\n")
    with pytest.raises(ChatdbError, match="protected resources would be deleted") as raised:
        toy.run("up")
    assert toy.done() == []
    assert raised.value.detail == "pulumi-python:dynamic/toy:Thing a, pulumi-python:dynamic/toy:Thing b"
    with pytest.raises(ChatdbError, match="protected resources would be deleted"):
        toy.run("destroy")
    assert toy.done() == []


def test_a_protected_resource_is_not_replaced(toy: Toy) -> None:
    """A change that needs a replacement is refused while the resource is protected."""
    toy.up("Thing('a', kind=1, opts=Opts(protect=True))\n")
    with pytest.raises(ChatdbError, match="would be replaced, because kind cannot be changed in place"):
        toy.up("Thing('a', kind=2, opts=Opts(protect=True))\n")
    assert toy.done() == []


def test_retained_and_deleted_with_are_only_forgotten(toy: Toy) -> None:
    """`retain_on_delete` leaves the thing; `deleted_with` leaves its delete to the other's."""
    toy.up("a = Thing('a')\nThing('b', opts=Opts(deleted_with=a))\nThing('c', opts=Opts(retain_on_delete=True))\n")
    assert toy.up("") == ["delete a"]
    assert set(toy.resources()) == {"toy-dev"}


def test_deleted_with_stays_in_the_state_where_the_other_cannot_be_deleted(toy: Toy) -> None:
    """A failed delete forgets nothing of what still stands."""
    toy.up("a = Thing('a', text='stuck')\nThing('b', opts=Opts(deleted_with=a))\n")
    with pytest.raises(ChatdbError, match="Thing a: ValueError: stuck"):
        toy.up("")
    assert set(toy.resources()) == {"toy-dev", "a", "b"}


ALIASES = {
    "name": ("Thing('old', label='x')", "Thing('new', label='x', opts=Opts(aliases=[Alias(name='old')]))"),
    "urn": (
        "Thing('old', label='x')",
        "Thing('new', label='x', opts=Opts(aliases=['urn:pulumi:dev::toy::pulumi-python:dynamic/toy:Thing::old']))",
    ),
    "into a component": (
        "Thing('old', label='x')",
        "Thing('new', label='x', opts=Opts(parent=Group('g'), aliases=[Alias(name='old', parent=None)]))",
    ),
    "children of a renamed component": (
        "Thing('old-child', label='x', opts=Opts(parent=Group('old')))",
        "g = Group('new', opts=Opts(aliases=[Alias(name='old')]))\nThing('new-child', label='x', opts=Opts(parent=g))",
    ),
}


@pytest.mark.parametrize(("before", "after"), ALIASES.values(), ids=ALIASES)
def test_aliases_keep_what_was_renamed(toy: Toy, before: str, after: str) -> None:
    """A renamed resource is the same one: nothing is made or deleted, and every mention has its new name."""
    toy.up(f"thing = {before}\nThing('user', opts=Opts(depends_on=[thing]))\n")
    after = after.replace("Thing(", "thing = Thing(")
    assert toy.up(f"{after}\nThing('user', opts=Opts(depends_on=[thing]))\n") == []
    assert "::old" not in toy.state_text
    assert not toy.run("up").changed


def test_other_inputs_that_ask_for_nothing_are_taken_over_from_the_plan(toy: Toy) -> None:
    """A resource that stays as it is may have other inputs: the program runs once, and the state has them."""
    program = "open('runs', 'a').write('x')\nThing('a', text='one', remark={!r})\npulumi.export('said', {!r})\n"
    toy.up(program.format("before", "before"))
    runs = toy.folder / "runs"
    runs.unlink()
    assert toy.up(program.format("after", "before")) == []
    assert runs.read_text() == "x"
    assert toy.resources()["a"]["inputs"]["remark"] == "after"
    state = toy.state_text
    assert not toy.run("up").changed
    assert toy.state_text == state
    runs.unlink()
    # Outputs are the update's to tell: a program may export something else in a preview.
    toy.up(program.format("after", "after"))
    assert runs.read_text() == "xx"
    assert stackfile.outputs(toy.folder, "dev") == {"said": "after"}


def test_ignored_changes_stay_as_they_were(toy: Toy) -> None:
    """`ignore_changes` names properties: the old value stays, the rest is updated."""
    toy.up("Thing('a', text='one', parts={'x': [1, 2], 'y': 1})\n")
    ignoring = "opts=Opts(ignore_changes=['text'])"
    assert toy.up(f"Thing('a', text='two', parts={{'x': [1, 2], 'y': 1}}, {ignoring})\n") == []
    assert toy.up(f"Thing('a', text='two', parts={{'x': [5, 9], 'y': 1}}, {ignoring})\n") == ["update a"]
    inputs = toy.resources()["a"]["inputs"]
    assert (inputs["text"], inputs["parts"]) == ("one", {"x": [5, 9], "y": 1})


def test_secrets_are_never_in_plain_in_the_state(toy: Toy) -> None:
    """A secret input, its output, and each additional secret output are encrypted; unchanged ones keep their bytes."""
    text = (
        "a = Thing('a', pw=Output.secret('hush-hush'), text='one{}', opts=Opts(additional_secret_outputs=['size']))\n"
    )
    text += "pulumi.export('pw', a.pw)\npulumi.export('open', a.text)\n"
    text = text.replace("a.pw", "Output.secret('hush-hush')").replace("a.text", "a.size")
    toy.up(text.format(""))
    assert "hush-hush" not in toy.state_text
    outputs = toy.resources()["a"]["outputs"]
    assert outputs["pw"]["plaintext"] == '"hush-hush"'
    assert outputs["size"]["plaintext"] == "3"
    before = stackfile.export_stack(toy.folder, "dev")["deployment"]["resources"]
    toy.up(text.format("r"))
    after = stackfile.export_stack(toy.folder, "dev")["deployment"]["resources"]
    assert [item["inputs"]["pw"] for item in before if "pw" in item.get("inputs", {})] == [
        item["inputs"]["pw"] for item in after if "pw" in item.get("inputs", {})
    ]
    assert stackfile.outputs(toy.folder, "dev") == {"pw": "[secret]", "open": "[secret]"}
    assert stackfile.outputs(toy.folder, "dev", show_secrets=True) == {"pw": "hush-hush", "open": 4}


def test_components_keep_their_outputs(toy: Toy) -> None:
    """RegisterResourceOutputs goes into the state."""
    toy.up("g = Group('g')\na = Thing('a', text='one', opts=Opts(parent=g))\ng.register_outputs({'size': a.size})\n")
    found = toy.resources()
    assert found["g"]["outputs"] == {"size": 3}
    assert found["a"]["parent"] == found["g"]["urn"]


@pytest.mark.parametrize("name", ["dev", "toy/dev", "anyone/toy/dev"])
def test_a_stack_reference_reads_outputs_and_keeps_secrets(toy: Toy, name: str) -> None:
    """Another stack's outputs are read by each form of its name; a secret one stays secret here."""
    toy.up("pulumi.export('plain', 1)\npulumi.export('pw', Output.secret('hush-hush'))\n")
    (toy.folder / "Pulumi.prod.yaml").write_text("config: {}\n")
    toy.program(
        f"ref = pulumi.StackReference('{name}')\n"
        "pulumi.export('plain', ref.get_output('plain'))\npulumi.export('pw', ref.require_output('pw'))\n"
    )
    assert toy.run("up", stack="prod").outputs == {"plain": 1, "pw": "[secret]"}
    assert not toy.run("up", stack="prod").changed
    assert "hush-hush" not in (toy.folder / ".chatdb/prod/stack.json").read_text()


def test_a_stack_reference_needs_the_other_stack_to_be_up(toy: Toy) -> None:
    """The error names it and says how to bring it up."""
    with pytest.raises(ChatdbError, match="stack staging, which stack dev refers to, is not up") as raised:
        toy.up("pulumi.StackReference('staging')\n")
    assert "chatdb up --stack staging" in raised.value.hint
    assert raised.value.state == "Nothing was changed."


def test_a_stack_reference_opens_the_other_stack_with_its_own_passphrase(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable holds the passphrase of the stack that runs; the other one has the one generated for it."""
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    toy.up("pulumi.export('pw', Output.secret('hush-hush'))\n")
    (toy.folder / "Pulumi.prod.yaml").write_text("config: {}\n")
    toy.program("pulumi.export('pw', pulumi.StackReference('dev').require_output('pw'))\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "that of prod alone")
    toy.run("up", stack="prod")
    assert stackfile.outputs(toy.folder, "prod", show_secrets=True) == {"pw": "hush-hush"}


def test_a_failure_leaves_the_rest_done_and_the_next_run_goes_on(toy: Toy) -> None:
    """What does not depend on the failed one is made; the error names it; the next run makes what is missing."""
    text = "a = Thing('a', text='{}')\nThing('b', text=a.size.apply(str))\nThing('c')\npulumi.export('size', a.size)\n"
    with pytest.raises(ChatdbError, match="Thing a: ValueError: it is broken") as raised:
        toy.up(text.format("broken"))
    assert sorted(toy.done()) == ["create a", "create c"]
    assert "Saved in the state" in raised.value.state
    assert toy.up(text.format("fine")) == ["create a", "create b"]
    assert toy.resources()["toy-dev"]["outputs"] == {"size": 4}


def test_a_program_that_fails_in_the_update_leaves_the_stack_its_outputs(toy: Toy) -> None:
    """What it would have exported is not known: what was there before stays."""
    toy.up("pulumi.export('size', 1)\n")
    with pytest.raises(ChatdbError, match="stopped"):
        toy.up("if not pulumi.runtime.is_dry_run():\n    raise pulumi.RunError('stopped')\npulumi.export('size', 2)\n")
    assert toy.resources()["toy-dev"]["outputs"] == {"size": 1}


def test_a_refused_input_stops_the_run_before_anything_is_done(toy: Toy) -> None:
    """Check failures are found by the plan, all of them, and nothing is made."""
    with pytest.raises(ChatdbError, match="2 resources failed") as raised:
        toy.up("Thing('fine')\nThing('a', text='refused')\nThing('b', text='refused')\n")
    assert toy.done() == []
    assert "Thing a: text: must not be refused" in raised.value.detail
    assert raised.value.state == "Nothing was changed."


REFUSED = {
    "transform": ("Thing('a', opts=Opts(transforms=[lambda args: None]))", "transforms"),
    "stack transform": ("pulumi.runtime.register_resource_transform(lambda args: None)", "transforms"),
    "hook": ("Thing('a', opts=Opts(hooks=pulumi.ResourceHookBinding(before_create=[lambda args: None])))", "hooks"),
    "invoke": ("pulumi.runtime.invoke('aws:index:getRegion', {})", "Invoke aws:index:getRegion"),
    "import": ("Thing('a', opts=Opts(import_='x'))", "`import`"),
    "replace_on_changes": ("Thing('a', opts=Opts(replace_on_changes=['text']))", "`replace_on_changes`"),
    "replace_with": ("a = Thing('a')\nThing('b', opts=Opts(replace_with=[a]))", "ReplaceWith"),
    "path": (
        "Thing('a', opts=Opts(ignore_changes=['parts.x[1]']))",
        "the path parts.x[1] in the option `ignore_changes`",
    ),
    "custom_timeouts": (
        "Thing('a', opts=Opts(custom_timeouts=pulumi.CustomTimeouts(create='5m')))",
        "`custom_timeouts`",
    ),
    "another package": ("pulumi.CustomResource('aws:s3:Bucket', 'x', {})", "package aws"),
    "another provider": ("pulumi.ProviderResource('aws', 'x', {})", "package aws"),
    "asset": ("Thing('a', text=pulumi.StringAsset('x'))", "assets and archives"),
    "remote component": ("pulumi.ComponentResource('x:y:Z', 'z', {}, None, True)", "remote component"),
    "another project's stack": ("pulumi.StackReference('me/other/dev')", "another project's stack"),
}


@pytest.mark.parametrize(("text", "what"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_done_is_refused_by_name(toy: Toy, text: str, what: str) -> None:
    """Each thing the engine does not do is named, with where to go instead; nothing is made."""
    with pytest.raises(ChatdbError) as raised:
        toy.up(text + "\n")
    assert what in raised.value.message
    assert "done by the embedded engine" in raised.value.message
    assert raised.value.hint == "Use the Pulumi CLI for this program."
    assert toy.done() == []


def test_refresh_takes_over_what_is_there(toy: Toy) -> None:
    """A changed file becomes the state's output and the next update mends it; a deleted one leaves the state."""
    toy.up(TWO)
    (toy.folder / "things/a-None").write_text("by hand")
    (toy.folder / "things/b-None").unlink()
    assert toy.run("refresh").changes == {"update": 1, "delete": 1}
    assert toy.resources()["a"]["outputs"]["text"] == "by hand"
    assert "b" not in toy.resources()
    assert toy.up(TWO) == ["update a", "create b"]


def test_destroy_needs_no_program(toy: Toy) -> None:
    """Everything goes by what the state says, in reverse order; the state is empty then."""
    toy.up(TWO)
    (toy.folder / "__main__.py").unlink()
    toy.run("destroy")
    assert toy.done() == ["delete b", "delete a"]
    assert toy.resources() == {}


FAILURES = {
    "RunError": ("raise pulumi.RunError('say this')", "say this", ""),
    "exception": ("x = 1 / 0", "the program failed: ZeroDivisionError: division by zero", "__main__.py:11"),
    "in an apply": ("a = Thing('a')\na.size.apply(lambda s: 1 / 0)", "ZeroDivisionError", "__main__.py:12"),
    "declared twice": ("Thing('a')\nThing('a')", "pulumi-python:dynamic/toy:Thing a is declared twice", ""),
}


@pytest.mark.parametrize(("text", "message", "place"), FAILURES.values(), ids=FAILURES)
def test_a_failing_program_is_told_without_a_traceback(toy: Toy, text: str, message: str, place: str) -> None:
    """The program's own text, or the place and message of what it raised."""
    with pytest.raises(ChatdbError) as raised:
        toy.up(text + "\n")
    assert message in raised.value.message
    assert place in raised.value.detail
    assert "Traceback" not in str(raised.value)


def test_an_unknown_stack_names_those_there_are(toy: Toy) -> None:
    """The error lists the stacks that have a file."""
    with pytest.raises(UnknownNameError, match="there is no stack named 'staging'") as raised:
        toy.run("up", stack="staging")
    assert raised.value.detail == "known: dev"


def test_dynamic_providers_get_the_settings(toy: Toy) -> None:
    """`configure` is called with the stack's settings, defaults of the project included."""
    toy.up("Thing('a')\n")
    assert toy.resources()["a"]["outputs"]["greeting"] == "hello"


def test_not_done_error_is_an_error_of_ours() -> None:
    """A refusal has the three parts."""
    error = NotDoneError("a thing")
    assert str(error).startswith("a thing is not done by the embedded engine\nDETAIL: ")
