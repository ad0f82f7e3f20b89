"""The policies on the embedded engine: asked before anything is done."""

from __future__ import annotations

from typing import Literal

import pytest

from embedded.policing import PolicyError
from tests.engine.toy import Toy


def test_a_broken_policy_stops_a_preview_and_an_update_before_anything_is_done(toy: Toy) -> None:
    """Named, with its reason and what to do."""
    toy.program("Thing('a', text='one')\nThing('b', password='plain')\n")
    operations: tuple[Literal["preview", "up"], ...] = ("preview", "up")
    for operation in operations:
        with pytest.raises(PolicyError) as raised:
            toy.run(operation)
        assert raised.value.message == "policy secrets-are-secret: b: password is not a secret"
        assert raised.value.detail.startswith("What is no secret to Pulumi stands in its state")
        assert raised.value.hint.startswith("Pass it as pulumi.Output.secret(…)")
        assert raised.value.state == "Nothing was changed."
    assert toy.done() == []


def test_every_broken_policy_is_in_one_error(toy: Toy) -> None:
    """With each resource."""
    toy.program("[Thing(name, password='plain') for name in 'ab']\n")
    with pytest.raises(PolicyError, match="2 resources break a policy") as raised:
        toy.run("preview")
    assert "secrets-are-secret: a: " in raised.value.detail
    assert "secrets-are-secret: b: " in raised.value.detail


def test_a_secret_that_is_known_or_not_yet_breaks_none(toy: Toy) -> None:
    """An output of another resource is not judged before it is known."""
    text = "a = Thing('a', password=Output.secret('hush'))\nThing('b', password=Output.secret(a.size.apply(str)))\n"
    assert toy.up(text) == ["create a", "create b"]
    assert toy.up(text) == []


def test_an_advisory_policy_is_told_and_passes(toy: Toy) -> None:
    """A production server that is reached by TLS without knowing who answers."""
    (toy.folder / "Pulumi.dev.yaml").write_text("config:\n  chatdb:production: true\n")
    toy.program(
        "import pulumi_postgresql\n"
        "pulumi_postgresql.Provider('server', host='db.example.com', username='me', sslmode='require')\n"
    )
    toy.run("preview")
    (said,) = [event.message for event in toy.events if event.phase == "warning"]
    assert said.startswith(
        "policy verified-tls-in-production: server: sslmode require does not check the server's name"
    )
    assert "\n  HINT: Set chatdb:sslMode to verify-full" in said
