"""In which settings two stacks differ, as a promotion shows it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.settings.differences import differences

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, str]]]] = {
    "the same": ({"chatdb:port": 5432}, {"chatdb:port": "5432"}, []),
    "absent is the default": ({"chatdb:sslMode": "require", "chatdb:adopt": False}, {}, []),
    "a value beside the default": ({}, {"chatdb:production": True}, [("chatdb:production", "false", "true")]),
    "a list": (
        {"chatdb:products": ["lyra"]},
        {"chatdb:products": ["lyra", "robotics"]},
        [("chatdb:products", '["lyra"]', '["lyra", "robotics"]')],
    ),
    "another namespace": ({"aws:region": "eu-west-1"}, {}, [("aws:region", "eu-west-1", "")]),
    "a secret of one": ({}, {"chatdb:password": {"secure": "v1:a:b"}}, [("chatdb:password", "", "[secret]")]),
    "a secret of each": (
        {"chatdb:password": {"secure": "v1:a:b"}},
        {"chatdb:password": {"secure": "v1:c:d"}},
        [("chatdb:password", "[secret]", "[secret]")],
    ),
}


@pytest.mark.parametrize(("first", "second", "found"), CASES.values(), ids=CASES)
def test_what_differs_is_named_with_both_values_and_no_secret(
    first: dict[str, Any], second: dict[str, Any], found: list[tuple[str, str, str]]
) -> None:
    """By the key's full name, defaults filled in."""
    assert differences(first, second) == found
