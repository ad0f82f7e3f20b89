"""What Ctrl-C does in a run of the embedded engine. Called by `program`; the command line asks `was_abandoned`.

Pressed once, what is under way comes to its end and into the state, and nothing more begins. Pressed again, the run is
left at once: the server undoes what was not committed, and the state names what was under way for the next run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn

ONCE = "interrupted: what is under way comes to its end first; Ctrl-C again leaves it at once"
_abandoned = threading.Event()


def was_abandoned() -> bool:
    """Tell whether a run was left while an operation was under way: its thread must not be waited for."""
    return _abandoned.is_set()


class Presses:
    """Answers Ctrl-C for the length of a run. Use as a context manager around asyncio's runner.

    Args:
        tell: Told, in words, that the first one was heard.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._runner: Callable[[int, FrameType | None], object] | None = None
        self._heard = False

    def __enter__(self) -> Presses:
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._runner and not was_abandoned():
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def listen(self) -> None:
        """Come before the runner's own answer to Ctrl-C, which cancels; called inside its loop, where that is set."""
        answer = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(answer):
            self._runner = answer
            signal.signal(signal.SIGINT, self._pressed)

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        if self._heard or self._runner is None:
            _leave()
        self._heard = True
        self._tell(ONCE)
        self._runner(number, frame)


def _leave() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a third one must not disturb the words of the end
    _abandoned.set()
    raise KeyboardInterrupt
