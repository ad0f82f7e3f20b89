"""What a source stack's release lets through: a table of releases, each with its whole sentence."""

from __future__ import annotations

from typing import Any

import pytest

from infra import promotion
from infra.promotion import Wanted

OURS = Wanted(product="lyra", version="0002", digest="sha256:two")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def released(*digests: str, commit: str = "") -> dict[str, Any]:
    """Return the release of a source whose versions have these digests."""
    by_version = {f"{number:04d}": f"sha256:{digest}" for number, digest in enumerate(digests, 1)}
    return {"lyra": {"version": f"{len(digests):04d}", "digests": by_version, "commit": commit}}


RELEASES = {
    "these files": (released("one", "two"), ""),
    "these files, whatever the commit is called": (released("one", "two", commit=COMMIT), ""),
    "ahead through these files": (released("one", "two", "three"), ""),
    "no release at all": (None, "dev has not released it"),
    "an empty release": ({}, "dev has not released it"),
    "another product": ({"robotics": released("one", "two")["lyra"]}, "dev has not released it"),
    "a product that never came up": ({"lyra": None}, "dev has not released it"),
    "stale": (released("one"), "dev has released 0001, and is stale: these files go up to 0002"),
    "stale, from a commit": (
        released("one", commit=COMMIT),
        f"dev has released 0001 from commit {COMMIT}, and is stale: these files go up to 0002",
    ),
    "other files": (released("one", "2"), "dev has released 0002, but 0002 from other files (2) than these (two)"),
    "ahead through other files": (
        released("one", "2", "three"),
        "dev has released 0003, but 0002 from other files (2) than these (two)",
    ),
    "from before releases had digests": (
        {"lyra": {"version": "0002", "digest": "sha256:two"}},
        "dev has released 0002, and is stale: these files go up to 0002",
    ),
}


@pytest.mark.parametrize(("release", "reason"), RELEASES.values(), ids=RELEASES)
def test_a_release_lets_through_what_it_has_and_says_why_it_refuses(release: Any, reason: str) -> None:
    """The newest version of the files, with their digest, must be among what the source has come through."""
    assert promotion.refusals([OURS], release, source="dev") == ({"lyra": reason} if reason else {})


def test_only_the_products_that_are_not_released_are_refused() -> None:
    """Each by itself."""
    other = Wanted(product="robotics", version="0001", digest="sha256:one")
    assert list(promotion.refusals([OURS, other], released("one", "two"), source="dev")) == ["robotics"]


def test_the_error_names_what_is_refused_why_and_what_to_promote() -> None:
    """Its three parts and the state."""
    error = promotion.not_released({"lyra": "dev has not released it"}, [OURS], source="dev", stack="prod")
    assert str(error) == (
        "stack dev has not released what stack prod would bring\n"
        "DETAIL: \n"
        "  lyra 0002: dev has not released it\n"
        "HINT: Bring lyra up on dev from these files (chatdb up --stack dev), or go to the commit that dev has "
        "released; then promote: chatdb promote --from dev --to prod. In an emergency chatdb:promotionOverride gives "
        "the reason that the ledger keeps.\n"
        "STATE: Nothing was changed."
    )


@pytest.mark.parametrize("reason", ["incident 42: index for the inbox", "as agreed, promotion override: twice"])
def test_the_reason_of_an_override_is_read_back_from_the_actor(reason: str) -> None:
    """Whatever it holds."""
    actor = promotion.actor("lyra_migrator", reason)
    assert actor.startswith("lyra_migrator, promotion override: ")
    assert promotion.reason_of(actor) == reason


def test_who_acts_without_an_override_is_left_to_the_server() -> None:
    """The login role, which carries no reason."""
    assert promotion.actor("lyra_migrator", "") == ""
    assert promotion.reason_of("lyra_migrator") == ""
