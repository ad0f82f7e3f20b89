"""Read a database's catalogue in one form for every PostgreSQL from 14 to 18. An edge: reads, never writes.

Called by `snapshot` to record what the migrations make, and by `preflight` and `infra.verification` to compare that
with a live database. Who owns an object and who may use it is no part of it: that is the stack's subject.

Source: https://www.postgresql.org/docs/18/catalogs.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from infra import spelling
from infra.migrations.comparison import Difference as Difference
from infra.migrations.comparison import differences as differences

# Nested dicts of str, bool and list, as they stand in a snapshot's JSON; what an object lacks is left out:
# {"schema": {"name", "comment"}, "tables": {name: {…, "columns": {…}, "constraints": {…}, …}}, "views": {…}, …}
Catalogue = dict[str, Any]

# Kinds that stand by themselves, and kinds that stand in a table. In the order of a snapshot.
KINDS = ("tables", "views", "sequences", "types", "functions")
TABLE_KINDS = ("columns", "constraints", "indexes", "policies", "triggers")

# Each part returns rows (kind, table, name, what it is). One statement of all parts makes one round trip and one view
# of the catalogue. Relations are those of the schema, or the named ones; what depends on them follows.
_RELATIONS = """
WITH relation AS (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relpersistence, c.reloptions
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND (%(tables)s::text[] IS NULL OR c.relname = ANY (%(tables)s::text[]))
)
"""
_SCHEMA = """
SELECT 'schema', '', n.nspname::text,
       jsonb_build_object('stands', true, 'comment', pg_catalog.obj_description(n.oid, 'pg_namespace'))
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = %(schema)s AND %(tables)s::text[] IS NULL
"""
_TABLES = """
SELECT 'tables', '', r.relname::text, jsonb_build_object(
    'kind', CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END,
    'persistence', CASE r.relpersistence WHEN 'p' THEN 'permanent' WHEN 'u' THEN 'unlogged' ELSE 'temporary' END,
    'partition_key', CASE WHEN r.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(r.oid) END,
    'inherits', (SELECT jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno)
                 FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = r.oid),
    'row_security', r.relrowsecurity,
    'row_security_forced', r.relforcerowsecurity,
    'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(r.reloptions) AS o),
    'comment', pg_catalog.obj_description(r.oid, 'pg_class'))
FROM relation AS r
WHERE r.relkind IN ('r', 'p', 'f')
"""
_COLUMNS = """
SELECT 'columns', r.relname::text, a.attname::text, jsonb_build_object(
    -- The place among the columns that stand: a dropped column leaves a hole in attnum.
    'place', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
    'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
    'nullable', NOT a.attnotnull,
    'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    'generated', CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    'virtual', CASE a.attgenerated WHEN 'v' THEN true END,
    'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
    'collation', (SELECT k.collname::text FROM pg_catalog.pg_collation AS k JOIN pg_catalog.pg_type AS t
                  ON t.oid = a.atttypid AND k.oid = a.attcollation AND a.attcollation <> t.typcollation),
    'comment', pg_catalog.col_description(r.oid, a.attnum))
FROM relation AS r
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'f')
"""
# PostgreSQL 18 lists NOT NULL among the constraints (contype n), the others do not; the columns say it for all.
_CONSTRAINTS = """
SELECT 'constraints', r.relname::text, c.conname::text, jsonb_build_object(
    'kind', CASE c.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key'
            WHEN 'x' THEN 'exclusion' ELSE 'check' END,
    'definition', pg_catalog.pg_get_constraintdef(c.oid),
    'validated', c.convalidated,
    'deferrable', CASE WHEN c.contype = 'c' THEN NULL WHEN c.condeferred THEN 'initially deferred'
                  WHEN c.condeferrable THEN 'yes' ELSE 'no' END,
    'on_delete', CASE c.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                 WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END,
    'on_update', CASE c.confupdtype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                 WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END,
    'comment', pg_catalog.obj_description(c.oid, 'pg_constraint'))
FROM relation AS r
JOIN pg_catalog.pg_constraint AS c ON c.conrelid = r.oid AND c.contype IN ('p', 'u', 'f', 'c', 'x')
"""
_INDEXES = """
SELECT 'indexes', r.relname::text, x.relname::text, jsonb_build_object(
    'definition', pg_catalog.pg_get_indexdef(i.indexrelid),
    'unique', i.indisunique,
    'valid', i.indisvalid AND i.indisready,
    'comment', pg_catalog.obj_description(x.oid, 'pg_class'))
FROM relation AS r
JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
WHERE r.relkind IN ('r', 'p', 'f')
"""
_POLICIES = """
SELECT 'policies', r.relname::text, p.polname::text, jsonb_build_object(
    'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
               WHEN 'd' THEN 'delete' ELSE 'all' END,
    'permissive', p.polpermissive,
    'roles', (SELECT jsonb_agg(coalesce(a.rolname::text, 'public') ORDER BY coalesce(a.rolname::text, 'public'))
              FROM unnest(p.polroles) AS o LEFT JOIN pg_catalog.pg_roles AS a ON a.oid = o),
    'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
    'with_check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid),
    'comment', pg_catalog.obj_description(p.oid, 'pg_policy'))
FROM relation AS r
JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid
"""
_TRIGGERS = """
SELECT 'triggers', r.relname::text, t.tgname::text, jsonb_build_object(
    'definition', pg_catalog.pg_get_triggerdef(t.oid),
    'enabled', CASE t.tgenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' ELSE 'always' END,
    'comment', pg_catalog.obj_description(t.oid, 'pg_trigger'))
FROM relation AS r
JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
"""
_VIEWS = """
SELECT 'views', '', r.relname::text, jsonb_build_object(
    'kind', CASE r.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END,
    'definition', pg_catalog.pg_get_viewdef(r.oid),
    'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(r.reloptions) AS o),
    'comment', pg_catalog.obj_description(r.oid, 'pg_class'))
FROM relation AS r
WHERE r.relkind IN ('v', 'm')
"""
# A sequence is read with the schema, or with the named table that owns it.
_SEQUENCES = """
SELECT 'sequences', '', s.seqrelid::regclass::text, jsonb_build_object(
    'type', pg_catalog.format_type(s.seqtypid, NULL),
    'start', s.seqstart::text, 'increment', s.seqincrement::text, 'minimum', s.seqmin::text,
    'maximum', s.seqmax::text, 'cache', s.seqcache::text, 'cycles', s.seqcycle,
    'owned_by', (SELECT d.refobjid::regclass::text || '.' || a.attname FROM pg_catalog.pg_depend AS d
                 JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.refobjsubid > 0
                 AND d.deptype IN ('a', 'i')))
FROM pg_catalog.pg_sequence AS s
WHERE s.seqrelid IN (SELECT r.oid FROM relation AS r)
   OR s.seqrelid IN (SELECT d.objid FROM pg_catalog.pg_depend AS d JOIN relation AS r ON r.oid = d.refobjid
                     WHERE d.classid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))
"""
# Types and functions are read with the whole schema only: named tables own none.
_TYPES = """
SELECT 'types', '', t.typname::text, jsonb_build_object(
    'kind', CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'composite' END,
    'labels', (SELECT jsonb_agg(e.enumlabel::text ORDER BY e.enumsortorder)
               FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid),
    'base', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
    'nullable', NOT t.typnotnull,
    'default', t.typdefault,
    'checks', (SELECT jsonb_agg(pg_catalog.pg_get_constraintdef(c.oid) ORDER BY c.conname)
               FROM pg_catalog.pg_constraint AS c WHERE c.contypid = t.oid AND c.contype = 'c'),
    'columns', (SELECT jsonb_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
                FROM pg_catalog.pg_attribute AS a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid
                AND a.attnum > 0 AND NOT a.attisdropped),
    'comment', pg_catalog.obj_description(t.oid, 'pg_type'))
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
WHERE n.nspname = %(schema)s AND %(tables)s::text[] IS NULL
  AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
"""
_FUNCTIONS = """
SELECT 'functions', '', p.oid::regprocedure::text, jsonb_build_object(
    'kind', CASE p.prokind WHEN 'f' THEN 'function' WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
            ELSE 'window' END,
    'language', l.lanname::text,
    'returns', pg_catalog.pg_get_function_result(p.oid),
    'arguments', pg_catalog.pg_get_function_arguments(p.oid),
    'volatility', CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
    'security', CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END,
    'strict', p.proisstrict,
    'leakproof', p.proleakproof,
    'parallel', CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
    'settings', (SELECT jsonb_agg(s ORDER BY s) FROM unnest(p.proconfig) AS s),
    'body', coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc),
    'comment', pg_catalog.obj_description(p.oid, 'pg_proc'))
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE n.nspname = %(schema)s AND %(tables)s::text[] IS NULL
"""
_QUERY = sql.SQL(_RELATIONS) + sql.SQL("UNION ALL").join(
    sql.SQL(part)
    for part in (
        *(_SCHEMA, _TABLES, _COLUMNS, _CONSTRAINTS, _INDEXES, _POLICIES, _TRIGGERS),
        *(_VIEWS, _SEQUENCES, _TYPES, _FUNCTIONS),
    )
)


def read(connection: psycopg.Connection[Any], *, schema: str, tables: Sequence[str] | None = None) -> Catalogue:
    """Return what stands in a schema, every name in it qualified.

    Args:
        connection: Any session that may read the catalogue, in or out of a transaction.
        schema: The schema.
        tables: The tables that count, missing ones left out; None for the whole schema with its comment, types and
            functions.
    """
    parameters = {"schema": schema, "tables": None if tables is None else list(tables)}
    with spelling.alike(connection):
        rows = connection.execute(_QUERY, parameters).fetchall()
    return _assemble(schema, rows)


def empty(schema: str) -> Catalogue:
    """Return the catalogue of a schema in which nothing of ours stands."""
    return _assemble(schema, [])


def is_empty(catalogue: Catalogue) -> bool:
    """Return whether no object stands: the schema itself and its comment do not count."""
    return not any(catalogue[kind] for kind in KINDS)


def _assemble(schema: str, rows: Sequence[tuple[str, str, str, dict[str, Any]]]) -> Catalogue:
    """Return rows as nested dicts in an order that depends on names alone; columns in their own."""
    catalogue: Catalogue = {"schema": {"name": schema}, **{kind: {} for kind in KINDS}}
    within: list[tuple[str, str, str, dict[str, Any]]] = []
    for kind, table, name, facts in sorted(rows, key=lambda row: (row[0], row[1], row[3].pop("place", 0), row[2])):
        body = {key: value for key, value in facts.items() if value is not None}
        if kind == "schema":
            catalogue["schema"] |= body
        elif kind == "tables":
            catalogue["tables"][name] = body | {inner: {} for inner in TABLE_KINDS}
        elif kind in TABLE_KINDS:
            within.append((kind, table, name, body))
        else:
            catalogue[kind][name] = body
    for kind, table, name, body in within:
        # A view has triggers too: they are left out with it.
        if table in catalogue["tables"]:
            catalogue["tables"][table][kind][name] = body
    return catalogue
