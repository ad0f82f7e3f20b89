"""End the program without a traceback when the Pulumi CLI cancels it. Called by `__main__`, before anything else.

The CLI interrupts the program's process as soon as a resource fails its check. Python's own answer is two screens of
traceback below the error that matters. On the embedded engine the program shares the engine's process: nothing is done.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from pulumi.runtime.proto.resource_pb2_grpc import ResourceMonitorStub
from pulumi.runtime.settings import get_monitor

INTERRUPTED = 130  # the shell's exit status for SIGINT


def leave_quietly_when_cancelled() -> None:
    """Leave at once on SIGINT where the program has a process of its own, which holds nothing worth saving."""
    if isinstance(get_monitor(), ResourceMonitorStub):
        signal.signal(signal.SIGINT, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
