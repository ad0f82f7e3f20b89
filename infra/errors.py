"""The one shape of every error a user meets. Pure: imports nothing of the project.

Raised everywhere, shown by `cli` and by Pulumi as `str(error)`. PostgreSQL's three parts (what happened, why, what
to do) and a fourth: the state things are in now.
"""

from __future__ import annotations

from collections.abc import Sequence


class ChatdbError(Exception):
    """An error with what happened, why, what to do, and what state things are in.

    Args:
        message: What happened, in one sentence without a full stop.
        detail: Why, with the names and values that matter; never a secret.
        hint: What to do, as an imperative sentence.
        state: What is applied, changed or left as it was; empty where nothing was begun.
        sqlstate: The SQLSTATE of the PostgreSQL error behind this one, five characters, where there is one.
    """

    def __init__(
        self, message: str, *, detail: str = "", hint: str = "", state: str = "", sqlstate: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.state = state
        self.sqlstate = sqlstate

    def __str__(self) -> str:
        parts = (("DETAIL", self.detail), ("HINT", self.hint), ("STATE", self.state))
        return "\n".join([self.message, *(f"{label}: {text}" for label, text in parts if text)])

    def as_dict(self) -> dict[str, str]:
        """Return the parts under their names, without empty ones, for `--json`."""
        parts = {
            "error": type(self).__name__,
            "message": self.message,
            "detail": self.detail,
            "hint": self.hint,
            "state": self.state,
            "sqlstate": self.sqlstate or "",
        }
        return {key: value for key, value in parts.items() if value}


class RefusedError(ChatdbError):
    """Something cannot be done as it was asked for; that was found before anything was begun.

    Args:
        message: As in `ChatdbError`, and so on.
        state: What state things are in, where there is more to say than that nothing was changed.
    """

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        hint: str = "",
        state: str = "Nothing was changed.",
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint, state=state, sqlstate=sqlstate)


class SettingsError(RefusedError):
    """A stack's settings are missing, malformed or contradict each other."""


class UnknownNameError(RefusedError):
    """A product, stack or key that does not exist was asked for."""


class ConnectionFailedError(ChatdbError):
    """The server cannot be reached, refuses the login, or drops the connection."""


class DatabaseError(ChatdbError):
    """A statement failed on the server."""


class AwsError(ChatdbError):
    """AWS refuses, is not reached, or is not asked for want of credentials or region.

    Args:
        message: As in `ChatdbError`, and so on.
        detail: AWS's own words.
        hint: What to do.
        state: What state things are in.
        code: AWS's own code, as "AccessDeniedException"; empty where AWS did not answer.
    """

    def __init__(self, message: str, *, detail: str, hint: str, state: str, code: str = "") -> None:
        super().__init__(message, detail=detail, hint=hint, state=state)
        self.code = code


def from_text(text: str) -> ChatdbError:
    """Return the error that a text words, its parts as they were: Pulumi takes texts alone from a provider's check."""
    import re

    message, *parts = re.split(r"\n(DETAIL|HINT|STATE): ", text)
    return ChatdbError(message, **{key.lower(): part for key, part in zip(parts[::2], parts[1::2], strict=True)})


def unknown_name(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """Return the error for a name that is not among the known ones, with the closest one as the hint.

    Args:
        kind: What the name names: "product", "stack", "role".
        name: The name that was given.
        known: Every name there is.
    """
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return UnknownNameError(
        f"there is no {kind} named {name!r}",
        detail=f"known: {', '.join(known) or 'none'}",
        hint=f"{hint}Name one of: {', '.join(known)}." if known else f"Create the {kind} first.",
    )


def unforeseen(error: BaseException) -> ChatdbError:
    """Word an exception that nothing foresaw, with the place it arose."""
    place = places(error, last=1)
    return ChatdbError(
        "chatdb met an error it has no words for",
        detail=f"{type(error).__name__}{f' at {place}' if place else ''}: {error}",
        hint="Run the same command again; if it stays, report it with this text.",
        state="What was committed before stays; the ledger in the database (`chatdb status`) tells.",
    )


def places(error: BaseException, *, last: int, foreign: Sequence[str] = ()) -> str:
    """Return where an exception was raised, `file:line, file:line`; empty where that is not known.

    Args:
        error: The exception.
        last: How many places, the last ones.
        foreign: Parts of paths; places in them are told only where there are no others.
    """
    import traceback

    frames = list(traceback.extract_tb(error.__traceback__))
    own = [frame for frame in frames if not any(part in frame.filename for part in foreign)]
    return ", ".join(f"{frame.filename}:{frame.lineno}" for frame in (own or frames)[-last:])
