"""What a rule is, what it finds, and the common ground its query stands on. Pure.

A rule is data: an identity, why it matters, and one query that returns what breaks it, each with the statement that
mends it. A query that returns nothing is a rule that holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One assertion.

    Attributes:
        id: Its name, which is never changed: people and machines refer to it.
        title: What holds where it is kept, in one sentence.
        why: What may happen where it is broken.
        severity: How bad that is.
        source: Where it comes from: CIS benchmark topic, OWASP, CVE, PostgreSQL's documentation.
        query: Returns rows (object, what is off, statement that mends it); may use the relations of `GROUND`.
        since: First major version that has what is asked about.
        absent: Why it does not apply before that.
        server_wide: Whether it is about the server rather than one product's database.
        needs: What the session must be allowed to read; empty where the catalogue that is open to all does.
    """

    id: str
    title: str
    why: str
    severity: Severity
    source: str
    query: str
    since: int = 14
    absent: str = ""
    server_wide: bool = False
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place where a rule is broken.

    Attributes:
        rule: The rule.
        product: Name of the product; empty where the server is meant.
        object: What breaks it.
        detail: What is off there.
        mend: The statement that mends it.
    """

    rule: Rule
    product: str
    object: str
    detail: str
    mend: str

    def as_dict(self) -> dict[str, str]:
        """Return the finding for `--json`."""
        return {
            "rule": self.rule.id,
            "severity": self.rule.severity,
            "product": self.product,
            "object": self.object,
            "detail": self.detail,
            "why": self.rule.why,
            "mend": self.mend,
            "source": self.rule.source,
        }


@dataclass(frozen=True, kw_only=True)
class Unchecked:
    """A rule that could not be asked, and the reason: it is neither kept nor broken."""

    rule: Rule
    product: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return it for `--json`."""
        return {"rule": self.rule.id, "product": self.product, "reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the audit of one product's database found.

    Attributes:
        product: Name of the product.
        held: Rules that were asked and hold.
        findings: Where rules are broken, the worst first.
        unchecked: Rules that could not be asked.
    """

    product: str
    held: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]


# What every query may name. Parameters: roles, kinds (in the same order: owner, migrator, app, …, app_b for the second
# login), owner, schema, ledger, tables (the product's), figures (those that analytics reads), guarded (those that have
# row security). What a query does not name costs nothing.
GROUND = """
WITH role AS (
    SELECT r.oid, r.rolname::text AS name, quote_ident(r.rolname) AS sql, k.kind, r.rolcanlogin AS login,
           r.rolconnlimit AS connection_limit, k.kind NOT IN ('owner', 'migrator') AS serves
    FROM unnest(%(roles)s::text[], %(kinds)s::text[]) AS k (name, kind) JOIN pg_roles AS r ON r.rolname = k.name
), membership AS (
    -- From 16 on REVOKE takes back the membership that one grantor gave.
    SELECT x.*, CASE WHEN current_setting('server_version_num')::int >= 160000
                     THEN ' GRANTED BY ' || quote_ident(pg_get_userbyid(x.grantor)) ELSE '' END AS by
    FROM pg_auth_members AS x
), relation AS (
    -- The product's tables with their partitions, the ledger's, and what else the owner has beside them; in the shared
    -- schema public other tables are the application's.
    SELECT c.oid, c.relname, n.nspname, c.relkind, c.relowner, c.relacl, c.oid::regclass::text AS name,
           c.relrowsecurity, c.relforcerowsecurity,
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE'
           END AS noun,
           c.relkind IN ('r', 'p') AND ((n.nspname = %(schema)s AND top.relname = ANY (%(guarded)s::text[]))
               OR top.relrowsecurity OR EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid IN (c.oid, top.oid)))
           AS guarded
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS top ON top.oid = coalesce(pg_partition_root(c.oid), c.oid)
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND (n.nspname = %(ledger)s OR (n.nspname = %(schema)s AND (
           n.nspname <> 'public' OR top.relname = ANY (%(tables)s::text[])
           OR (c.relkind IN ('v', 'm', 'S') AND pg_get_userbyid(c.relowner) = %(owner)s))))
), function AS (
    SELECT p.oid, p.proname, p.oid::regprocedure::text AS name, p.proowner, p.proacl, p.prosecdef, p.prosrc,
           CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END AS noun, p.prokind,
           p.prosqlbody IS NOT NULL AS bound, l.lanname, l.lanpltrusted,
           (SELECT substr(s, 13) FROM unnest(p.proconfig) AS s WHERE s LIKE 'search_path=%%') AS search_path
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
    WHERE NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
      AND n.nspname !~ '^pg_|^information_schema$'
      AND (n.nspname = %(ledger)s OR (n.nspname = %(schema)s AND n.nspname <> 'public')
           OR pg_get_userbyid(p.proowner) = ANY (%(roles)s::text[]))
), granted AS (
    -- Every right on a relation or a column of one, other than its owner's.
    SELECT r.oid, r.name, r.nspname, r.relkind, CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS noun,
           a.grantee, a.privilege_type AS privilege, a.is_grantable, '' AS columns,
           CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
    FROM relation AS r, aclexplode(r.relacl) AS a WHERE a.grantee <> r.relowner
    UNION ALL
    SELECT r.oid, r.name || '.' || t.attname, r.nspname, r.relkind, 'TABLE', a.grantee, a.privilege_type,
           a.is_grantable, quote_ident(t.attname),
           CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
    FROM relation AS r JOIN pg_attribute AS t ON t.attrelid = r.oid, aclexplode(t.attacl) AS a
    WHERE a.grantee <> r.relowner
), served AS (
    -- The server's own value. Where this session has another, it is not to be seen, and the default stands for it.
    SELECT s.name, CASE WHEN s.source IN ('database', 'user', 'database user', 'client', 'session')
                        THEN s.boot_val ELSE s.reset_val END AS value
    FROM pg_settings AS s
), configured AS (
    -- What holds at login, by PostgreSQL's own precedence: of the role in this database, the role, the database, the
    -- server.
    SELECT r.oid AS role, s.name, coalesce(o.value, s.value) AS value,
           -- What ALTER ROLE must name for its SET to count.
           'ALTER ROLE ' || r.sql || coalesce(o.narrowed, '') AS alter_role
    FROM role AS r CROSS JOIN served AS s
    LEFT JOIN LATERAL (
        SELECT substr(c, length(s.name) + 2) AS value,
               CASE WHEN x.setrole <> 0 THEN ' IN DATABASE ' || quote_ident(d.datname) END AS narrowed
        FROM pg_db_role_setting AS x
        LEFT JOIN pg_database AS d ON d.oid = x.setdatabase
        CROSS JOIN LATERAL unnest(x.setconfig) AS c
        WHERE c LIKE s.name || '=%%' AND x.setrole IN (r.oid, 0)
          AND (x.setdatabase = 0 OR d.datname = current_database())
        ORDER BY x.setrole <> 0 DESC, x.setdatabase <> 0 DESC LIMIT 1) AS o ON true
    -- What the rules about logins ask: of all four hundred it would take longer than everything else together.
    WHERE s.name ~ '_timeout$|^search_path$'
), written AS (
    -- Each place where a setting is written down: the server, and roles and databases that have a value of their own.
    SELECT s.name, s.value, 'server' AS place, 'ALTER SYSTEM SET ' || s.name || ' = ' AS mend,
           '; SELECT pg_reload_conf()' AS mended
    FROM served AS s
    UNION ALL
    SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1),
           concat_ws(' in ', 'role ' || r.name, 'database ' || d.datname),
           CASE WHEN r.oid IS NULL THEN 'ALTER DATABASE ' || quote_ident(d.datname)
                ELSE 'ALTER ROLE ' || r.sql || coalesce(' IN DATABASE ' || quote_ident(d.datname), '') END
           || ' SET ' || split_part(c, '=', 1) || ' = ', ''
    FROM pg_db_role_setting AS x
    LEFT JOIN role AS r ON r.oid = x.setrole LEFT JOIN pg_database AS d ON d.oid = x.setdatabase
    CROSS JOIN LATERAL unnest(x.setconfig) AS c
    WHERE (x.setrole = 0 OR r.oid IS NOT NULL) AND (x.setdatabase = 0 OR d.datname = current_database())
      AND (r.oid IS NOT NULL OR d.oid IS NOT NULL)
)
"""
