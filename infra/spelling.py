"""Have PostgreSQL write names, types and values alike for whoever asks. An edge: sets a session's settings for a while.

Called where what the server writes is compared: catalogue, prerequisites, access, audit. A login may have settings of
its own, by which the same column is `text` here and `"text"` there, the same default '2026-11-26' here and '26.11.2026'
there.

Source: https://www.postgresql.org/docs/18/runtime-config-client.html,
https://www.postgresql.org/docs/18/runtime-config-compatible.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

# Without a search_path each name is written with its schema.
_SETTINGS = {
    "search_path": "",
    "quote_all_identifiers": "off",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
# The list of what is returned is worked out from left to right: the old value, then the new one.
_SWAP = """\
SELECT current_setting(name), set_config(name, value, true)
FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)"""


@contextlib.contextmanager
def alike(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Read as one spelling writes it, in one transaction; then the session's own settings hold again.

    Args:
        connection: Any session, in or out of a transaction.
    """
    with connection.transaction():
        own = connection.execute(_SWAP, (list(_SETTINGS), list(_SETTINGS.values()))).fetchall()
        yield
        # Within the caller's transaction the settings would stay until its end.
        connection.execute(_SWAP, (list(_SETTINGS), [value for value, _ in own]))
