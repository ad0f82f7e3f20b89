"""How many there are, in words that fit the number. Pure; called wherever something is counted for people."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return `1 row`, `12 rows`: a number with what it counts, a noun whose plural takes an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
