"""Rules about tables that turn into outages: keys, and indexes behind foreign keys and policies. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

RULES = (
    Rule(
        id="foreign-key-unindexed",
        title="Every foreign key has an index that begins with its columns",
        why="Deleting a row it points to reads the whole table, once for each row, and holds locks meanwhile.",
        severity="medium",
        source="Supabase splinter: unindexed_foreign_keys; PostgreSQL: Constraints, foreign keys",
        query="""
SELECT c.conname || ' on ' || r.name, 'no index begins with ' || k.columns,
       'CREATE INDEX CONCURRENTLY ON ' || r.name || ' (' || k.columns || ')'
FROM relation AS r
JOIN pg_constraint AS c ON c.conrelid = r.oid AND c.contype = 'f' AND c.conparentid = 0
CROSS JOIN LATERAL (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY o.place) AS columns
    FROM unnest(c.conkey) WITH ORDINALITY AS o (number, place)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = o.number) AS k
WHERE NOT EXISTS (
    SELECT FROM pg_index AS i
    WHERE i.indrelid = r.oid AND i.indisvalid AND i.indpred IS NULL
      AND (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality(c.conkey)] @> c.conkey)
""",
    ),
    Rule(
        id="policy-column-unindexed",
        title="Every column that a policy compares stands in an index",
        why="Each statement on the table is filtered by it: without an index each reads every user's rows.",
        severity="medium",
        source="Supabase: row security performance; PostgreSQL: Row Security Policies",
        query="""
SELECT DISTINCT r.name || '.' || a.attname, 'the policy ' || p.polname || ' compares it, and no index holds it',
       'CREATE INDEX CONCURRENTLY ON ' || r.name || ' (' || quote_ident(a.attname) || ')'
FROM relation AS r
JOIN pg_policy AS p ON p.polrelid = r.oid
JOIN pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
                   AND d.refobjid = r.oid AND d.refobjsubid > 0
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = d.refobjsubid
WHERE NOT EXISTS (SELECT FROM pg_index AS i
                  WHERE i.indrelid = r.oid AND i.indisvalid AND i.indpred IS NULL AND a.attnum = ANY (i.indkey))
""",
    ),
    Rule(
        id="table-without-key",
        title="Every table has a primary key",
        why="A row that cannot be named cannot be replicated, mended or deleted alone.",
        severity="medium",
        source="Supabase splinter: no_primary_key; PostgreSQL: Logical Replication, replica identity",
        query="""
SELECT r.name, 'it has no primary key', 'ALTER TABLE ' || r.name || CASE
       WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attname = 'id' AND NOT a.attisdropped)
       THEN ' ADD PRIMARY KEY (id)' ELSE ' ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY' END
FROM relation AS r
WHERE r.relkind IN ('r', 'p')
  AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = r.oid AND c.contype = 'p')
""",
    ),
)
