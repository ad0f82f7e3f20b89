"""Find how far an attempt at detaching a partition concurrently came, and what is left of it. An edge.

Called by `online` before such a statement runs again. It is two transactions: one that is cut short, or waits too long
for those who still read the partition, leaves it there, pending, and the same statement is refused from then on.

Source: https://www.postgresql.org/docs/18/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from infra.migrations.kinds import Detach
from infra.migrations.statements import Statement

_PENDING = """\
SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(%s) AND inhparent = to_regclass(%s)"""


def left_of(connection: psycopg.Connection[Any], statement: Statement, detach: Detach) -> str:
    """Return the statement that leads on from an earlier attempt; empty where the partition is detached."""
    partition, table = (sql.Identifier(*name) for name in detach)
    row = connection.execute(_PENDING, (partition.as_string(), table.as_string())).fetchone()
    if row is None:
        return ""
    if not row[0]:
        return statement.text
    return sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(table, partition).as_string()
