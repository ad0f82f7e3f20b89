"""Name the sessions that stand in the way. An edge: reads the server's views.

Called by `lock` for the holder of the runner's lock, and by `session` while a statement waits.

Source: https://www.postgresql.org/docs/18/functions-info.html (pg_blocking_pids)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.abc import Params

from infra.migrations.model import Blocker
from infra.words import printable

_COLUMNS = """\
SELECT a.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''), \
coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change, a.backend_start)), 0)::float8, \
coalesce(a.state, 'hidden'), coalesce(a.query, '') FROM pg_stat_activity AS a """
_PREPARED = """\
SELECT DISTINCT 0, p.owner, p.gid, extract(epoch FROM clock_timestamp() - p.prepared)::float8, 'prepared', '' \
FROM pg_prepared_xacts AS p"""
_HOLDS = """\
JOIN pg_locks AS l USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
AND l.classid = %s::bigint::oid AND l.objid = %s::bigint::oid"""
# What a lock is on.
_LOCK = (
    "{0}.locktype, {0}.database, {0}.relation, {0}.page, {0}.tuple, {0}.virtualxid, {0}.transactionid, {0}.classid, "
    "{0}.objid, {0}.objsubid"
)
HOLDER = _COLUMNS + _HOLDS
# Asked once, not for each session that the view shows: each time it holds the lock manager up. It gives 0 for a
# prepared transaction, which has no session: those are found by the lock that ours waits for, and named by their gid.
BLOCKING = f"""\
WITH waiting (pid) AS MATERIALIZED (SELECT %s::integer),
     b AS MATERIALIZED (SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM waiting)
{_COLUMNS} JOIN b USING (pid)
UNION ALL
{_PREPARED}
JOIN pg_locks AS own ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.transactionid = p.transaction
JOIN pg_locks AS held ON held.pid IS NULL AND held.virtualtransaction = own.virtualtransaction
JOIN pg_locks AS wanted ON NOT wanted.granted AND wanted.pid = (SELECT pid FROM waiting)
                       AND ROW({_LOCK.format("wanted")}) IS NOT DISTINCT FROM ROW({_LOCK.format("held")})
WHERE (SELECT bool_or(pid = 0) FROM b)
ORDER BY 4 DESC"""  # noqa: S608 - composed of the constants above
# Autovacuum ends by itself once somebody has queued behind it for deadlock_timeout: to wait it out could take hours.
# Against wraparound it does not.
STILL_THERE = f"""\
{_COLUMNS} WHERE a.pid = ANY (%(pids)s) AND a.xact_start IS NOT NULL
AND (a.backend_type <> 'autovacuum worker' OR a.query LIKE '%%(to prevent wraparound)')
UNION ALL
{_PREPARED} WHERE 0 = ANY (%(pids)s) AND p.gid = ANY (%(names)s)
ORDER BY 4 DESC"""
# Whose transaction is hidden from the login: the lock that each transaction has on itself is open to all. What is no
# role's is autovacuum.
_HIDDEN = """\
SELECT l.pid, l.virtualtransaction FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'virtualxid' AND l.virtualxid = l.virtualtransaction AND l.granted
AND a.state IS NULL AND a.usename IS NOT NULL AND l.pid = ANY (%s)"""

_QUERY_LENGTH = 120  # characters: one line of a terminal
# Strings ($tag$, E'', plain) and numbers that are not part of a name; the view may have cut a string's end off.
_LITERALS = re.compile(
    r"\$(\w*)\$.*?(?:\$\1\$|\Z)|\bE'(?:[^'\\]|\\.|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)|(?<![\w$\"])\d+(?:\.\d+)?\b",
    re.DOTALL | re.IGNORECASE,
)


def blockers_of(connection: psycopg.Connection[Any], query: str, parameters: Params) -> tuple[Blocker, ...]:
    """Return the sessions that one of this module's queries finds."""
    return tuple(
        Blocker(pid=pid, user=user, application=printable(application), age_s=age, state=state, query=masked(text))
        for pid, user, application, age, state, text in connection.execute(query, parameters)
    )


def hidden_of(connection: psycopg.Connection[Any], pids: Iterable[int]) -> set[tuple[int, str]]:
    """Return the transactions of these sessions that the login may not see, each by its session and its own name."""
    return set(connection.execute(_HIDDEN, (list(pids),)).fetchall())


def masked(query: str) -> str:
    """Return a statement on one line, its literals as `?`, shortened: it is shown, and it may hold people's words."""
    line = printable(" ".join(_LITERALS.sub("?", query).split()))
    return line if len(line) <= _QUERY_LENGTH else line[: _QUERY_LENGTH - 1] + "…"
