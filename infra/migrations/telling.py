"""Tell what a run under Pulumi waits for, while it waits. An edge: writes to the standard library's log.

Pulumi shows a resource's own output when it is done. Its process for dynamic resources writes a log to standard error,
which the Pulumi CLI shows at once; on the embedded engine `embedded.program` hands it on. Called by `resource`.
"""

from __future__ import annotations

import logging
import time

from infra.migrations.model import Event

LOGGER = logging.getLogger("chatdb")
TOLD = ("waiting", "retrying", "recovering", "baselined", "untraced")
AGAIN_S = 60.0  # time in seconds after which the same is told again, while it lasts


class Teller:
    """What the runner's report callback feeds.

    Args:
        product: Name of the product, told with each line: the others go on beside it.
    """

    def __init__(self, product: str) -> None:
        self._product = product
        self._told: dict[tuple[object, ...], float] = {}

    def __call__(self, event: Event) -> None:
        """Take one event; told are who is in the way, a server that does not answer, what is mended or taken over."""
        # That a lock was not to be had is told with who has it.
        if event.kind not in TOLD or (event.kind == "retrying" and event.migration):
            return
        about = (event.kind, event.migration, *(blocker.pid for blocker in event.blockers))
        now = time.monotonic()
        if now - self._told.get(about, -AGAIN_S) >= AGAIN_S:
            self._told[about] = now
            LOGGER.warning("%s: %s", self._product, event.text)
