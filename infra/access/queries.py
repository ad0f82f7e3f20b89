"""The catalogue queries of `reading`, as text. Pure.

One statement for every object and every right on it, so that there is one view of the catalogue; two for the roles.

Source: https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-ACLITEM-OP (acldefault, aclexplode),
https://www.postgresql.org/docs/18/catalog-pg-init-privs.html
"""

from __future__ import annotations

# The views of information_schema show each role what it may see, and initdb does not record what it grants on them.
# Each part returns: kind, schema, name, noun, name in SQL, owner, rights, rights by default, catalogue, oid, column,
# table it belongs to, whether it is listed though nobody has rights on it.
_DATABASE = """
SELECT 'database', '', d.datname::text, 'DATABASE', quote_ident(d.datname), d.datdba, d.datacl,
       acldefault('d', d.datdba), 'pg_database'::regclass, d.oid, 0, '', true
FROM pg_database AS d WHERE d.datname = current_database()
"""
_SCHEMAS = """
SELECT 'schema', '', n.nspname::text, 'SCHEMA', quote_ident(n.nspname), n.nspowner, n.nspacl,
       acldefault('n', n.nspowner), 'pg_namespace'::regclass, n.oid, 0, '', true
FROM pg_namespace AS n WHERE n.nspname !~ '^pg_(toast|temp)|^information_schema$'
"""
_RELATIONS = """
SELECT CASE WHEN c.relkind = 'S' THEN 'sequence' WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
       n.nspname::text, c.relname::text, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
       c.oid::regclass::text, c.relowner, c.relacl,
       acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner), 'pg_class'::regclass, c.oid, 0,
       coalesce((SELECT p.relname::text FROM pg_class AS p WHERE p.oid = pg_partition_root(c.oid)),
                (SELECT t.relname::text FROM pg_depend AS d JOIN pg_class AS t ON t.oid = d.refobjid
                 WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
                 AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')), ''), true
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND n.nspname !~ '^pg_(toast|temp)|^information_schema$'
  AND (c.relacl IS NOT NULL OR n.nspname <> 'pg_catalog')
"""
_COLUMNS = """
SELECT 'column', n.nspname::text, c.relname || '.' || a.attname, 'TABLE', c.oid::regclass::text, c.relowner, a.attacl,
       NULL::aclitem[], 'pg_class'::regclass, c.oid, a.attnum, c.relname::text, false
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND n.nspname !~ '^pg_(toast|temp)|^information_schema$'
"""
_FUNCTIONS = """
SELECT 'function', n.nspname::text, p.proname || '(' || oidvectortypes(p.proargtypes) || ')',
       CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure::text, p.proowner, p.proacl,
       acldefault('f', p.proowner), 'pg_proc'::regclass, p.oid, 0, '', true
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
-- Of PostgreSQL's own three thousand, those that somebody granted.
WHERE n.nspname !~ '^pg_(toast|temp)|^information_schema$' AND (p.proacl IS NOT NULL OR n.nspname <> 'pg_catalog')
"""
# Kinds on which nobody of ours needs a right: told where somebody has more than everyone has by default.
_OTHERS = """
SELECT 'type', n.nspname::text, t.typname::text, 'TYPE', t.oid::regtype::text, t.typowner, t.typacl,
       acldefault('T', t.typowner), 'pg_type'::regclass, t.oid, 0, '', false
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE t.typacl IS NOT NULL
UNION ALL
SELECT 'language', '', l.lanname::text, 'LANGUAGE', quote_ident(l.lanname), l.lanowner, l.lanacl,
       acldefault('l', l.lanowner), 'pg_language'::regclass, l.oid, 0, '', false FROM pg_language AS l
UNION ALL
SELECT 'foreign server', '', s.srvname::text, 'FOREIGN SERVER', quote_ident(s.srvname), s.srvowner, s.srvacl,
       acldefault('S', s.srvowner), 'pg_foreign_server'::regclass, s.oid, 0, '', false FROM pg_foreign_server AS s
UNION ALL
SELECT 'foreign-data wrapper', '', w.fdwname::text, 'FOREIGN DATA WRAPPER', quote_ident(w.fdwname), w.fdwowner,
       w.fdwacl, acldefault('F', w.fdwowner), 'pg_foreign_data_wrapper'::regclass, w.oid, 0, '', false
FROM pg_foreign_data_wrapper AS w
UNION ALL
SELECT 'large object', '', o.oid::text, 'LARGE OBJECT', o.oid::text, o.lomowner, o.lomacl,
       acldefault('L', o.lomowner), 'pg_largeobject'::regclass, o.oid, 0, '', false
FROM pg_largeobject_metadata AS o
UNION ALL
SELECT 'tablespace', '', b.spcname::text, 'TABLESPACE', quote_ident(b.spcname), b.spcowner, b.spcacl,
       acldefault('t', b.spcowner), 'pg_tablespace'::regclass, b.oid, 0, '', false FROM pg_tablespace AS b
"""
_PARAMETERS = """
UNION ALL
SELECT 'parameter', '', p.parname, 'PARAMETER', p.parname, 10, p.paracl,
       NULL::aclitem[], 'pg_parameter_acl'::regclass, p.oid, 0, '', false FROM pg_parameter_acl AS p
"""
# What holds for objects that a role will create: in any schema PostgreSQL's default where nothing is set, and what a
# schema adds to it.
_DEFAULTS = """
SELECT 'default', '', 'new ' || lower(kinds.noun) || ' of ' || r.rolname, kinds.noun,
       'ALTER DEFAULT PRIVILEGES FOR ROLE ' || quote_ident(r.rolname), r.oid, d.defaclacl,
       acldefault(kinds.acl::"char", r.oid), 'pg_default_acl'::regclass, coalesce(d.oid, 0), 0, '',
       r.rolname = %(owner)s
FROM pg_roles AS r CROSS JOIN default_kind AS kinds
LEFT JOIN pg_default_acl AS d
       ON d.defaclrole = r.oid AND d.defaclobjtype = kinds.kind::"char" AND d.defaclnamespace = 0
WHERE d.oid IS NOT NULL OR (r.rolname = %(owner)s AND kinds.kind <> 'L')
UNION ALL
SELECT 'default', n.nspname::text, 'new ' || lower(kinds.noun) || ' of ' || r.rolname, kinds.noun,
       'ALTER DEFAULT PRIVILEGES FOR ROLE ' || quote_ident(r.rolname) || ' IN SCHEMA ' || quote_ident(n.nspname), r.oid,
       d.defaclacl, NULL::aclitem[], 'pg_default_acl'::regclass, d.oid, 0, '', r.rolname = %(owner)s
FROM pg_default_acl AS d JOIN default_kind AS kinds ON d.defaclobjtype = kinds.kind::"char"
JOIN pg_namespace AS n ON n.oid = d.defaclnamespace JOIN pg_roles AS r ON r.oid = d.defaclrole
"""
# PostgreSQL's own objects and those of extensions: only what was granted since they were made.
_GRANTS = """
, marked AS MATERIALIZED (
    SELECT o.*, i.initprivs,
           o.schema ~ '^pg_' OR (o.kind = 'schema' AND o.name ~ '^pg_')
           OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = o.catalogue AND d.objid = o.oid AND d.deptype = 'e')
           AS system
    FROM object AS o
    LEFT JOIN pg_init_privs AS i ON i.classoid = o.catalogue AND i.objoid = o.oid AND i.objsubid = o.sub
)
SELECT m.kind, m.schema, m.name, m.noun, m.sql, pg_get_userbyid(m.owner)::text, m.of_table, m.system,
       CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee)::text END,
       pg_get_userbyid(e.grantor)::text, e.privilege_type, e.is_grantable, e.builtin,
       m.acl IS NULL
FROM marked AS m
LEFT JOIN LATERAL (
    SELECT x.grantee, x.grantor, x.privilege_type, x.is_grantable AND x.grantee <> m.owner AS is_grantable,
           EXISTS (SELECT FROM aclexplode(CASE WHEN m.system THEN coalesce(m.initprivs, m.base) ELSE m.base END) AS b
                   WHERE b.grantee = x.grantee AND b.privilege_type = x.privilege_type
                   AND b.is_grantable = x.is_grantable) AS builtin
    FROM aclexplode(coalesce(m.acl, m.base)) AS x
) AS e ON m.listed AND NOT m.system OR NOT e.builtin
WHERE (m.listed AND NOT m.system) OR (m.acl IS NOT NULL AND e.grantee IS NOT NULL)
ORDER BY 1, 2, 3
"""
# Before 16 a membership has no options: INHERIT is the member's attribute, and SET always holds.
MEMBERSHIPS = """
SELECT a.rolname::text, m.rolname::text, coalesce((to_jsonb(x) ->> 'inherit_option')::bool, m.rolinherit),
       coalesce((to_jsonb(x) ->> 'set_option')::bool, true), x.admin_option, pg_get_userbyid(x.grantor)::text
FROM pg_auth_members AS x
JOIN pg_roles AS a ON a.oid = x.roleid JOIN pg_roles AS m ON m.oid = x.member
ORDER BY 1, 2, 6
"""
ROLES = """
SELECT rolname::text, quote_ident(rolname), array_remove(ARRAY[
       CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
       CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
       CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolcanlogin THEN 'LOGIN' END], NULL)
FROM pg_roles ORDER BY 1
"""

_COLUMN_NAMES = "kind, schema, name, noun, sql, owner, acl, base, catalogue, oid, sub, of_table, listed"
_DEFAULT_KINDS = """
WITH default_kind (kind, acl, noun) AS (VALUES
    ('r', 'r', 'TABLES'), ('S', 's', 'SEQUENCES'), ('f', 'f', 'FUNCTIONS'), ('T', 'T', 'TYPES'), ('n', 'n', 'SCHEMAS'),
    ('L', 'L', 'LARGE OBJECTS'))
"""
PARAMETERS_SINCE = 15


def grants(major: int) -> bytes:
    """Return the query for every object and right; its parameter `owner` is whose defaults are always told."""
    parts = (_DATABASE, _SCHEMAS, _RELATIONS, _COLUMNS, _FUNCTIONS, _OTHERS, _DEFAULTS)
    objects = "UNION ALL".join(parts) + (_PARAMETERS if major >= PARAMETERS_SINCE else "")
    return f"{_DEFAULT_KINDS}, object ({_COLUMN_NAMES}) AS MATERIALIZED ({objects}){_GRANTS}".encode()
