"""Words for people: a number with what it counts, and text from elsewhere as it may be shown. Pure."""

from __future__ import annotations

_SPACES = "\u00a0\u202f\u3000"  # French, Japanese and other servers write them; to Python they are not printable


def counted(count: int, noun: str) -> str:
    """Return `1 row`, `12 rows`: a number with what it counts, a noun whose plural takes an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Return text that others wrote as it may be shown: what would move or colour a terminal is escaped."""
    return "".join(
        char if char.isprintable() or char in _SPACES else char.encode("unicode_escape").decode() for char in text
    )
