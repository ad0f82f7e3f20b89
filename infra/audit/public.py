"""Rules about PUBLIC, which is every role there is. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

RULES = (
    Rule(
        id="public-enters-database",
        title="PUBLIC may not connect to the database, nor make temporary tables in it",
        why="Every role of the server, another product's too, may come in and look at the catalogue.",
        severity="high",
        source="CIS PostgreSQL: access controls, PUBLIC; OWASP Database Security: restrict access per database",
        query="""
SELECT d.datname::text, 'PUBLIC has ' || a.privilege_type,
       'REVOKE ' || a.privilege_type || ' ON DATABASE ' || quote_ident(d.datname) || ' FROM PUBLIC'
FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
WHERE d.datname = current_database() AND a.grantee = 0
""",
    ),
    Rule(
        id="public-creates-in-schema",
        title="PUBLIC may create nothing in any schema",
        why="Who creates in a schema on somebody's search_path puts a function before the one that was meant.",
        severity="critical",
        source="CVE-2018-1058; CIS PostgreSQL: access controls, schema public",
        query="""
SELECT n.nspname::text, 'PUBLIC has CREATE',
       -- Where the owner of a product's tables may create there only as everyone may.
       CASE WHEN n.nspname = %(schema)s AND n.nspowner <> r.oid AND r.rolname = %(owner)s
             AND pg_get_userbyid(n.nspowner) <> 'pg_database_owner' AND NOT EXISTS (
                SELECT FROM aclexplode(n.nspacl) AS own WHERE own.grantee = r.oid AND own.privilege_type = 'CREATE')
            THEN 'GRANT CREATE ON SCHEMA ' || quote_ident(n.nspname) || ' TO ' || quote_ident(r.rolname) || '; '
            ELSE '' END || 'REVOKE CREATE ON SCHEMA ' || quote_ident(n.nspname) || ' FROM PUBLIC'
FROM pg_namespace AS n, pg_database AS d JOIN pg_roles AS r ON r.oid = d.datdba, aclexplode(n.nspacl) AS a
WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'CREATE'
  AND n.nspname !~ '^pg_(toast|temp)'
""",
    ),
    Rule(
        id="public-uses-schema",
        title="PUBLIC may not enter the product's own schemas",
        why="Every role that may connect sees what stands there, and reaches whatever is granted to PUBLIC later.",
        severity="medium",
        source="CIS PostgreSQL: access controls, PUBLIC",
        query="""
SELECT n.nspname::text, 'PUBLIC has USAGE', 'REVOKE USAGE ON SCHEMA ' || quote_ident(n.nspname) || ' FROM PUBLIC'
FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE a.grantee = 0 AND a.privilege_type = 'USAGE' AND n.nspname IN (%(schema)s, %(ledger)s) AND n.nspname <> 'public'
""",
    ),
    Rule(
        id="public-executes-function",
        title="PUBLIC may execute none of the product's functions",
        why="PostgreSQL lets everyone execute a new function; with SECURITY DEFINER everyone acts as its owner.",
        severity="high",
        source="CIS PostgreSQL: access controls, functions; PostgreSQL: Privileges, default",
        query="""
SELECT f.name, 'PUBLIC has EXECUTE',
       'REVOKE EXECUTE ON ' || CASE f.noun WHEN 'AGGREGATE' THEN 'FUNCTION' ELSE f.noun END || ' ' || f.name
       || ' FROM PUBLIC'
FROM function AS f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a WHERE a.grantee = 0
""",
    ),
    Rule(
        id="public-uses-relation",
        title="PUBLIC has no right on the product's tables, views, sequences and columns",
        why="Every role that may connect reads or changes the messages.",
        severity="critical",
        source="CIS PostgreSQL: access controls, excessive DML privileges; OWASP Database Security: permissions",
        query="""
SELECT g.name, 'PUBLIC has ' || g.privilege,
       'REVOKE ' || g.privilege || CASE g.columns WHEN '' THEN '' ELSE ' (' || g.columns || ')' END || ' ON ' || g.noun
       || ' ' || g.oid::regclass || ' FROM PUBLIC'
FROM granted AS g WHERE g.grantee = 0
""",
    ),
    Rule(
        id="public-by-default",
        title="What the owner creates later gives nothing to PUBLIC",
        why="The next migration's table or function would be open to everyone without a grant that a reviewer sees.",
        severity="high",
        source="CIS PostgreSQL: access controls, default privileges; PostgreSQL: ALTER DEFAULT PRIVILEGES",
        query="""
SELECT 'new ' || lower(k.noun) || ' of ' || o.name || coalesce(' in ' || k.schema, ''),
       'PUBLIC will have ' || a.privilege_type,
       'ALTER DEFAULT PRIVILEGES FOR ROLE ' || o.sql || coalesce(' IN SCHEMA ' || quote_ident(k.schema), '')
       || ' REVOKE ' || a.privilege_type || ' ON ' || k.noun || ' FROM PUBLIC'
FROM role AS o
CROSS JOIN LATERAL (
    SELECT b.noun, NULL AS schema, coalesce(
               (SELECT d.defaclacl FROM pg_default_acl AS d
                WHERE d.defaclrole = o.oid AND d.defaclnamespace = 0 AND d.defaclobjtype = b.kind::"char"),
               acldefault(b.acl::"char", o.oid)) AS acl
    FROM (VALUES ('r', 'r', 'TABLES'), ('S', 's', 'SEQUENCES'), ('f', 'f', 'FUNCTIONS'), ('n', 'n', 'SCHEMAS'))
         AS b (kind, acl, noun)
    UNION ALL
    SELECT CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
           WHEN 'T' THEN 'TYPES' ELSE 'LARGE OBJECTS' END, n.nspname, d.defaclacl
    FROM pg_default_acl AS d JOIN pg_namespace AS n ON n.oid = d.defaclnamespace WHERE d.defaclrole = o.oid
) AS k
CROSS JOIN LATERAL aclexplode(k.acl) AS a
WHERE o.kind = 'owner' AND a.grantee = 0
""",
    ),
)
