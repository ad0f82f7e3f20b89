"""The engine's errors, and how anything else that is raised is put into words. Pure; called by every module here."""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import ChatdbError, places


class ResourceError(ChatdbError):
    """The program failed, or a resource could not be brought to what it wants."""


class NotDoneError(ChatdbError):
    """The program asks for something that the embedded engine does not do."""

    def __init__(self, what: str, *, detail: str = "it does what this project's program uses, no more") -> None:
        hint, state = "Use the Pulumi CLI for this program.", "Nothing was changed by it."
        super().__init__(f"{what} is not done by the embedded engine", detail=detail, hint=hint, state=state)


def in_words(error: Exception, type_: str, name: str) -> ChatdbError:
    """Return a provider's error with the resource named; its own parts are kept."""
    named = f"{type_.rsplit(':', 1)[-1]} {name}"
    if not isinstance(error, ChatdbError):
        return unforeseen(error, named, "the provider's code or what it was given")
    error.message = f"{named}: {error.message}"
    return error


def joined(errors: Sequence[ChatdbError], *, done: str) -> ChatdbError:
    """Return one error for all that failed; `done` is what the run did all the same."""
    if len(errors) == 1:
        errors[0].state = " ".join(filter(None, dict.fromkeys((errors[0].state, done))))
        return errors[0]
    detail = "".join(f"\n{error}" for error in errors)
    return ResourceError(f"{len(errors)} resources failed", detail=detail, hint="Mend each as it says.", state=done)


def unforeseen(error: BaseException, who: str, what: str) -> ResourceError:
    """Return the error for an exception that nothing foresaw, with its last places in the program."""
    place = places(error, last=3, foreign=("site-packages", "<frozen", "/embedded/", "/asyncio/"))
    message, hint = f"{who}: {type(error).__name__}: {error}", f"Correct {what}, then run again."
    detail, state = f"raised at {place or 'unknown place'}", "What was done before it is saved."
    return ResourceError(message, detail=detail, hint=hint, state=state)
