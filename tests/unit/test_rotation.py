"""Which login is current, which password ends: at every rotation."""

from __future__ import annotations

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


def test_a_rotation_never_goes_back() -> None:
    """Clients would lose the password they use: refused where the inputs are checked, which a preview does."""
    check = CredentialProvider().check
    (failure,) = check({"role": "lyra_app", "rotation": 2}, {"role": "lyra_app", "rotation": 1}).failures
    assert failure.property == "rotation"
    assert failure.reason.startswith("the rotation of lyra_app goes back from 2 to 1\nDETAIL: ")
    for olds in ({}, {"rotation": 1}, {"rotation": 2}):
        assert check(olds, {"role": "lyra_app", "rotation": 2}).failures == []
