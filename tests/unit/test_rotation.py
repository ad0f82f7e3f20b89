"""Which login is current, which password ends: at every rotation."""

from __future__ import annotations

from typing import Any

import pytest

from infra import naming, products, rotation
from infra.credentials import CredentialProvider

NAMES = naming.role_names(products.load("storefront"))


def generations(number: int) -> dict[str, int]:
    """Return how many passwords each login has had at a rotation."""
    return {login.role: login.generation for login in rotation.logins(NAMES, number)}


def test_the_first_rotation_has_a_login_for_each_purpose_and_no_second() -> None:
    """As a stack that was never rotated."""
    assert generations(1) == dict.fromkeys(NAMES.logins.values(), 1)
    assert all(login.current and not login.ends for login in rotation.logins(NAMES, 1))


@pytest.mark.parametrize("number", range(1, 9))
def test_a_rotation_gives_one_login_of_two_a_new_password_and_makes_it_current(number: int) -> None:
    """The other keeps the password that clients have; only what was given two rotations ago ends."""
    before, after = generations(number), rotation.logins(NAMES, number + 1)
    for kind, base in NAMES.serving.items():
        pair = {login.role: login for login in after if login.kind == kind}
        assert set(pair) == {base, NAMES.seconds[kind]}
        (current,) = (login for login in pair.values() if login.current)
        (former,) = (login for login in pair.values() if not login.current)
        was = next(login.role for login in rotation.logins(NAMES, number) if login.kind == kind and login.current)
        assert former.role == was
        assert former.generation == before[former.role]
        assert current.generation == before.get(current.role, 0) + 1
        assert (current.ends, former.ends) == (number > 1, False)
        assert {login.base for login in pair.values()} == {base}


def test_the_migrator_has_one_login_and_a_new_password_each_time() -> None:
    """The stack alone logs in as it."""
    found = [[login for login in rotation.logins(NAMES, number) if login.kind == "migrator"] for number in (1, 2, 3)]
    assert [(login.role, login.generation, login.current) for (login,) in found] == [
        ("storefront_migrator", number, True) for number in (1, 2, 3)
    ]


def guarded(number: int, **given: str) -> dict[str, Any]:
    """Return the inputs of the credential that a product's roles wait for, at a rotation of its stack."""
    names = naming.role_names(products.load("storefront"), given)
    about = {"product": "storefront", "roles": names.by_kind, "stackRotation": number}
    return {"role": names.app, "rotation": (number + 1) // 2, **about}


@pytest.mark.parametrize(("was", "wanted", "goes"), [(2, 1, "goes back"), (3, 2, "goes back"), (1, 3, "jumps")])
def test_a_rotation_neither_goes_back_nor_jumps(was: int, wanted: int, goes: str) -> None:
    """Clients would lose the password they use: refused where the inputs are checked, which a preview does."""
    (failure,) = CredentialProvider().check(guarded(was), guarded(wanted)).failures
    assert failure.property == "rotation"
    assert failure.reason.startswith(f"chatdb:rotation {goes} from {was} to {wanted}\nDETAIL: ")
    assert f"HINT: Set chatdb:rotation to {was}, or to {was + 1} for new passwords" in failure.reason


def test_the_same_rotation_and_the_next_are_taken_and_a_new_product_begins_at_any() -> None:
    """As is one that a state from before the guard has."""
    check = CredentialProvider().check
    for olds in ({}, guarded(1), guarded(2), {"role": "storefront_app", "rotation": 1}):
        assert check(olds, guarded(2)).failures == []


def test_the_roles_of_a_product_that_stands_keep_their_names() -> None:
    """Also those of a state from before names could be set; a first update takes any."""
    check = CredentialProvider().check
    before = {"role": "storefront_app", "rotation": 1}
    for olds in (guarded(1), before):
        (failure,) = check(olds, guarded(1, owner="shop_owner")).failures
        assert failure.property == "roles"
        assert failure.reason.startswith(
            "the roles of storefront stand under other names: owner is storefront_owner, not shop_owner\nDETAIL: "
        )
    assert check(guarded(1, owner="shop_owner"), guarded(1, owner="shop_owner")).failures == []
    assert check({}, guarded(1, owner="shop_owner")).failures == []
