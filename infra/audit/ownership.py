"""Rules about who owns what. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

_DOCS = "PostgreSQL: Database Roles, Privileges"

RULES = (
    Rule(
        id="object-of-another-owner",
        title="Every object of the product belongs to its owner role",
        why="An owner changes, drops and grants its objects, whatever is revoked: none should be able to log in.",
        severity="high",
        source="CIS PostgreSQL: access controls, ownership; OWASP Database Security: not the owner of the database",
        query="""
SELECT r.name, 'it belongs to ' || pg_get_userbyid(r.relowner),
       'ALTER ' || r.noun || ' ' || r.name || ' OWNER TO ' || quote_ident(%(owner)s)
FROM relation AS r WHERE pg_get_userbyid(r.relowner) <> %(owner)s
UNION ALL
SELECT f.name, 'it belongs to ' || pg_get_userbyid(f.proowner),
       'ALTER ' || f.noun || ' ' || f.name || ' OWNER TO ' || quote_ident(%(owner)s)
FROM function AS f WHERE pg_get_userbyid(f.proowner) <> %(owner)s
UNION ALL
SELECT d.datname::text, 'it belongs to ' || pg_get_userbyid(d.datdba),
       'ALTER DATABASE ' || quote_ident(d.datname) || ' OWNER TO ' || quote_ident(%(owner)s)
FROM pg_database AS d WHERE d.datname = current_database() AND pg_get_userbyid(d.datdba) <> %(owner)s
UNION ALL
SELECT n.nspname::text, 'it belongs to ' || r.rolname,
       'ALTER SCHEMA ' || quote_ident(n.nspname) || ' OWNER TO ' || quote_ident(%(owner)s)
FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
WHERE n.nspname IN (%(schema)s, %(ledger)s, 'public') AND r.rolname <> %(owner)s
  -- initdb's schema is the database owner's from 15 on, and was the first superuser's before.
  AND NOT (n.nspname = 'public' AND (r.rolname = 'pg_database_owner' OR r.rolsuper))
""",
    ),
    Rule(
        id="login-owns-objects",
        title="No role that logs in owns anything",
        why="Who gets the password of an owner may drop its tables and read them past row security that is not forced.",
        severity="high",
        source=f"OWASP Database Security: not the owner of the database; {_DOCS}",
        query="""
SELECT r.name || ' owns ' || CASE WHEN here THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                                  ELSE 'an object of database ' || b.datname END,
       'a login should own nothing',
       CASE WHEN here THEN 'REASSIGN OWNED BY ' || r.sql || ' TO ' || quote_ident(%(owner)s)
            ELSE '-- in ' || b.datname || ': REASSIGN OWNED BY ' || r.sql || ' TO ' || quote_ident(%(owner)s) END
FROM role AS r
JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'
LEFT JOIN pg_database AS b ON b.oid = d.dbid
CROSS JOIN LATERAL (SELECT d.dbid = 0 OR b.datname = current_database() AS here) AS place
WHERE r.login AND r.kind <> 'owner'
""",
    ),
    Rule(
        id="owner-logs-in",
        title="The owner role cannot log in",
        why="A service or a person that logs in as the owner is bound by no grant.",
        severity="high",
        source=f"OWASP Database Security: least privilege; {_DOCS}",
        query="""
SELECT r.name, 'it may log in', 'ALTER ROLE ' || r.sql || ' NOLOGIN' FROM role AS r WHERE r.kind = 'owner' AND r.login
""",
    ),
    Rule(
        id="database-is-template",
        title="The database is no template",
        why="Any role with CREATEDB may copy a template, with all its rows.",
        severity="high",
        source="PostgreSQL: Template Databases",
        query="""
SELECT d.datname::text, 'any role with CREATEDB may copy it',
       'ALTER DATABASE ' || quote_ident(d.datname) || ' IS_TEMPLATE false'
FROM pg_database AS d WHERE d.datname = current_database() AND d.datistemplate
""",
    ),
)
