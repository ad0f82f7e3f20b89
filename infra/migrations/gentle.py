"""What a session is told before a statement that runs beside writers, so that they feel little of it. Pure.

Called by `online` and `transactional`, and by `infra.role_settings` for what a login may. What writers feel, by
`bench.online`:

- Processes that help, for they take the cores: those of an index build, and since PostgreSQL 18 those that read ahead.
  Without the latter a table is read in order, and operating systems read ahead by themselves.
- The WAL of an index build: a commit waits until all of it that was written before is on disk. Compressed it is less.
  lz4 costs next to nothing; by pglz, which every server has, the build takes half as long again.

Source: https://www.postgresql.org/docs/18/runtime-config-resource.html#RUNTIME-CONFIG-RESOURCE-IO
Source: https://www.postgresql.org/docs/18/runtime-config-wal.html#GUC-WAL-COMPRESSION
"""

from __future__ import annotations

GRANTABLE_SINCE = 150_000  # PostgreSQL 15: a superuser may let others set a parameter that is a superuser's
# One statement, for whatever reads a whole table: it reads by itself.
ALONE = (
    "SELECT set_config('effective_io_concurrency', '0', false), set_config('maintenance_io_concurrency', '0', false)"
)

# How WAL is to be compressed, of a server's row in pg_settings; before PostgreSQL 15 there is one way.
COMPRESSION = "CASE WHEN 'lz4' = ANY (enumvals) THEN 'lz4' ELSE 'on' END"


def may_compress(server_version: int) -> str:
    """Return the SQL condition by which the role in force may set wal_compression, which is a superuser's.

    Args:
        server_version: As the server tells it: 180000.
    """
    if server_version >= GRANTABLE_SINCE:
        return "has_parameter_privilege('wal_compression', 'SET')"
    return "current_setting('is_superuser') = 'on'"


def settings(server_version: int, role: str) -> str:
    """Return the statements for an index build, for the session and as far as its login may.

    Args:
        server_version: As the server tells it.
        role: The statement that takes the role which the login acts as; in force again afterwards.
    """
    compression = (
        f"SELECT set_config('wal_compression', {COMPRESSION}, false) FROM pg_settings "  # noqa: S608 - constants
        f"WHERE name = 'wal_compression' AND setting IN ('off', 'on', 'pglz') AND {may_compress(server_version)}"
    )
    return f"{ALONE}; SET max_parallel_maintenance_workers = 0; RESET ROLE; {compression}; {role}"
