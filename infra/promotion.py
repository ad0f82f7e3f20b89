"""Decide whether a stack may bring what its files hold: only what its source stack has released. Pure.

Called by `gate` for the program, by `migrations.resource` for what the ledger and `release` say, and by `cli.promote`.

A stack that names a source (`promoteFrom`) takes a product only where the source's output `release` has, for the newest
version of the files here, the same digest. So:
- the source lacks the product, or has released nothing: refused;
- it is stale, at a lower version than these files: refused;
- it has that version from other files: refused;
- it is ahead, at a higher version: allowed where it came there through these very files, refused where it did not.
`promotionOverride` lets through what would be refused, and its reason stands in the ledger as a part of who acted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.errors import ChatdbError

# Stands in the ledger's column `actor` between the role that logged in and the reason.
MARK = ", promotion override: "


# Variable that lets a preview, and nothing else, show what would be refused: a pull request's, before its merge.
UNRELEASED = "CHATDB_PREVIEW_UNRELEASED"


class NotReleasedError(ChatdbError):
    """A stack would bring what its source stack has not released."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the files of a product would bring.

    Attributes:
        product: Its name.
        version: Newest version of the files, four digits.
        digest: Digest of the files.
    """

    product: str
    version: str
    digest: str


def refusals(wanted: Sequence[Wanted], release: Mapping[str, Any] | None, *, source: str) -> dict[str, str]:
    """Return why each product that is refused is refused, in a sentence.

    Args:
        wanted: What would be brought, product by product.
        release: The source's output `release`; None where it has none.
        source: Name of the source stack.
    """
    found = {item.product: _refusal(item, (release or {}).get(item.product) or {}, source) for item in wanted}
    return {product: reason for product, reason in found.items() if reason}


def _refusal(wanted: Wanted, released: Mapping[str, Any], source: str) -> str:
    """Return why one product is refused; empty where it is not."""
    if not released.get("version"):
        return f"{source} has not released it"
    version, commit = str(released["version"]), released.get("commit")
    there = f"{source} has released {version}{f' from commit {commit}' if commit else ''}"
    digests = released.get("digests") or {}
    if wanted.version not in digests:
        return f"{there}, and is stale: these files go up to {wanted.version}"
    if digests[wanted.version] == wanted.digest:
        return ""
    of_others = f"{there}, but {wanted.version} from other files ({_short(digests[wanted.version])})"
    return f"{of_others} than these ({_short(wanted.digest)})"


def not_released(reasons: Mapping[str, str], wanted: Sequence[Wanted], *, source: str, stack: str) -> NotReleasedError:
    """Return the error for what is refused: what, why, and what to promote first.

    Args:
        reasons: From `refusals`.
        wanted: What would be brought.
        source: Name of the source stack.
        stack: Name of the stack that would take it.
    """
    versions = {item.product: item.version for item in wanted}
    lines = [f"\n  {product} {versions[product]}: {reason}" for product, reason in reasons.items()]
    return NotReleasedError(
        f"stack {source} has not released what stack {stack} would bring",
        detail="".join(lines),
        hint=f"Bring {', '.join(reasons)} up on {source} from these files (chatdb up --stack {source}), or go to the "
        f"commit that {source} has released; then promote: chatdb promote --from {source} --to {stack}. "
        "In an emergency chatdb:promotionOverride gives the reason that the ledger keeps.",
        state="Nothing was changed.",
    )


def actor(login: str, reason: str) -> str:
    """Return who acts, for the ledger; empty (the server fills in the login) where nothing is overridden."""
    return f"{login}{MARK}{reason}" if reason else ""


def reason_of(actor: str) -> str:
    """Return the reason of an override that a ledger's row carries; empty where it carries none."""
    return actor.partition(MARK)[2]


def _short(digest: str) -> str:
    """Return enough of a digest to tell two apart."""
    return digest.removeprefix("sha256:")[:12]
