"""Rules about the roles that log in: their passwords, limits, timeouts and search_path. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

RULES = (
    Rule(
        id="password-not-scram",
        title="Every password is kept as a SCRAM verifier",
        why="An MD5 hash is broken in hours and is itself enough to log in.",
        severity="high",
        source="CIS PostgreSQL: password encryption; PostgreSQL: Password Authentication",
        needs="pg_authid, which only superusers read",
        query="""
SELECT r.name, 'its password is kept as ' || CASE WHEN a.rolpassword LIKE 'md5%%' THEN 'MD5' ELSE 'plain text' END,
       'ALTER ROLE ' || r.sql || ' PASSWORD ''SCRAM-SHA-256$4096:…'' -- the verifier of a new password'
FROM role AS r JOIN pg_authid AS a ON a.oid = r.oid
WHERE a.rolpassword IS NOT NULL AND a.rolpassword NOT LIKE 'SCRAM-SHA-256$%%'
""",
    ),
    Rule(
        id="password-encryption",
        title="New passwords are kept as SCRAM verifiers, whoever sets them",
        why="With md5 the next ALTER ROLE … PASSWORD makes a hash that is broken in hours.",
        severity="high",
        source="CIS PostgreSQL: password_encryption is scram-sha-256",
        server_wide=True,
        query="""
SELECT 'password_encryption of ' || w.place, 'it is ' || w.value, w.mend || quote_literal('scram-sha-256') || w.mended
FROM written AS w WHERE w.name = 'password_encryption' AND w.value <> 'scram-sha-256'
""",
    ),
    Rule(
        id="timeout-missing",
        title="Roles that serve have a limit for statements, locks, idle and whole transactions",
        why="One statement or forgotten transaction holds locks and dead rows until somebody looks; then all wait.",
        severity="medium",
        source="CIS PostgreSQL: statement_timeout; PostgreSQL: Client Connection Defaults; squawk: safe migrations",
        query="""
SELECT r.name || ' ' || c.name, 'it has no limit',
       c.alter_role || ' SET ' || c.name || ' = ' || quote_literal(t.value)
FROM role AS r JOIN configured AS c ON c.role = r.oid
JOIN (VALUES ('statement_timeout', '15s'), ('lock_timeout', '3s'), ('idle_in_transaction_session_timeout', '30s'),
             -- From 17 on: before, pg_settings does not have it.
             ('transaction_timeout', '60s')) AS t (name, value) ON t.name = c.name
WHERE r.serves AND r.login AND c.value ~ '^0'
""",
    ),
    Rule(
        id="connection-limit-missing",
        title="Roles that serve have a connection limit",
        why="One service that opens connections without end takes those of all the others, and of the administrator.",
        severity="medium",
        source="CIS PostgreSQL: connection limits per account; OWASP Denial of Service",
        query="""
SELECT r.name, 'it may open every connection of the server', 'ALTER ROLE ' || r.sql || ' CONNECTION LIMIT 50'
FROM role AS r WHERE r.serves AND r.login AND r.connection_limit = -1
""",
    ),
    Rule(
        id="role-search-path",
        title="Every login's search_path is fixed to schemas in which only the owner creates",
        why='With "$user", public a function that somebody puts there stands before the one that was meant.',
        severity="medium",
        source="CVE-2018-1058; PostgreSQL: Schemas, Usage Patterns",
        query="""
SELECT r.name, 'its search_path is ' || c.value,
       c.alter_role || ' SET search_path = ' || quote_ident(%(schema)s)
FROM role AS r JOIN configured AS c ON c.role = r.oid AND c.name = 'search_path'
-- Who creates in the product's own schema is a finding of its own, and its mend.
WHERE r.login AND btrim(c.value, ' "') <> %(schema)s AND EXISTS (
    SELECT FROM unnest(string_to_array(c.value, ',')) AS s
    WHERE btrim(s, ' "') = '$user' OR EXISTS (
        SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
        WHERE n.nspname = btrim(s, ' "') AND a.privilege_type = 'CREATE'
          AND (a.grantee = 0 OR a.grantee IN (SELECT o.oid FROM role AS o WHERE o.serves))))
""",
    ),
)
