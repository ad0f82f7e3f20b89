"""Rules about rights that go round the rules: too much for a role that serves, and rights passed on. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

_REVOKE = """'REVOKE ' || g.privilege || CASE g.columns WHEN '' THEN '' ELSE ' (' || g.columns || ')' END || ' ON '
       || g.noun || ' ' || g.oid::regclass || ' FROM ' || g.who"""

RULES = (
    Rule(
        id="privilege-around-policies",
        title="Nobody but the owner has TRUNCATE, REFERENCES, TRIGGER or MAINTAIN on a table",
        why="TRUNCATE empties a table past row security and foreign keys' actions; TRIGGER runs code as whoever writes "
        "next; REFERENCES tells which keys exist.",
        severity="high",
        source="CIS PostgreSQL: access controls, excessive DML privileges; PostgreSQL: Row Security Policies",
        query=f"""
SELECT g.name, g.who || ' has ' || g.privilege, {_REVOKE}
FROM granted AS g WHERE g.grantee <> 0 AND g.privilege IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')
""",  # noqa: S608 - composed of the constant above
    ),
    Rule(
        id="privilege-passed-on",
        title="Nobody but the owner may grant a right on",
        why="Who holds a right with grant option opens the table to others, and no program of ours sees it.",
        severity="medium",
        source="CIS PostgreSQL: access controls, grant option",
        query="""
SELECT g.name, g.who || ' may grant ' || g.privilege || ' on',
       'REVOKE GRANT OPTION FOR ' || g.privilege || CASE g.columns WHEN '' THEN '' ELSE ' (' || g.columns || ')' END
       || ' ON ' || g.noun || ' ' || g.oid::regclass || ' FROM ' || g.who || ' CASCADE'
FROM granted AS g WHERE g.is_grantable
""",
    ),
    Rule(
        id="service-creates-objects",
        title="A role that serves may create nothing, not in the database nor in a schema",
        why="The service holds no DDL rights: what it could create, a flaw in it could put before what was meant.",
        severity="high",
        source="OWASP Database Security: least privilege; CVE-2018-1058",
        query="""
SELECT n.nspname::text, r.name || ' has CREATE',
       'REVOKE CREATE ON SCHEMA ' || quote_ident(n.nspname) || ' FROM ' || r.sql
FROM role AS r, pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE r.kind <> 'owner' AND a.grantee = r.oid AND a.privilege_type = 'CREATE'
UNION ALL
SELECT d.datname::text, r.name || ' has ' || a.privilege_type,
       'REVOKE ' || a.privilege_type || ' ON DATABASE ' || quote_ident(d.datname) || ' FROM ' || r.sql
FROM role AS r, pg_database AS d, aclexplode(d.datacl) AS a
WHERE r.kind <> 'owner' AND d.datname = current_database() AND a.grantee = r.oid
  AND a.privilege_type IN ('CREATE', 'TEMPORARY')
""",
    ),
    Rule(
        id="ledger-is-open",
        title="Nobody but the owner reads or writes the ledger",
        why="Who may write it hides a migration, or makes one run twice.",
        severity="high",
        source="OWASP Logging: protect the audit trail",
        query=f"""
SELECT g.name, g.who || ' has ' || g.privilege, {_REVOKE}
FROM granted AS g WHERE g.nspname = %(ledger)s AND g.grantee <> 0
UNION ALL
SELECT n.nspname::text, pg_get_userbyid(a.grantee) || ' has ' || a.privilege_type,
       'REVOKE ' || a.privilege_type || ' ON SCHEMA ' || quote_ident(n.nspname) || ' FROM '
       || quote_ident(pg_get_userbyid(a.grantee))
FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE n.nspname = %(ledger)s AND a.grantee NOT IN (0, n.nspowner)
""",  # noqa: S608 - composed of the constant above
    ),
    Rule(
        id="parameter-granted",
        title="No role of the product may set a superuser's parameter",
        why="session_replication_role turns triggers and foreign keys off; log settings write messages into the log.",
        severity="high",
        source="PostgreSQL: GRANT ON PARAMETER",
        since=15,
        absent="has no rights on parameters",
        query="""
SELECT p.parname,
       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END || ' has ' || a.privilege_type,
       'REVOKE ' || a.privilege_type || ' ON PARAMETER ' || p.parname || ' FROM '
       || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
FROM pg_parameter_acl AS p, aclexplode(p.paracl) AS a
WHERE a.grantee = 0 OR a.grantee IN (SELECT r.oid FROM role AS r)
""",
    ),
)
