"""The statements that make, read and write the ledger, as text. Pure.

Sent by `ledger` and `session`, and written into the offline script by `script`: one text for both, so that a row is the
same whoever wrote it. Each row's hash covers the hash before it and all of its own fields, and the server computes it.

Source: https://www.postgresql.org/docs/18/functions-binarystring.html (sha256 is in core since 11)
"""

# The role that runs owns it; whoever default privileges would let in is shut out again.
CREATE = """\
CREATE SCHEMA IF NOT EXISTS chatdb;
CREATE TABLE IF NOT EXISTS chatdb.ledger (
    sequence bigint CONSTRAINT ledger_pkey PRIMARY KEY,
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    direction text NOT NULL CONSTRAINT ledger_direction_check CHECK (direction IN ('up', 'down', 'baseline')),
    statements_begun integer NOT NULL,
    statements_done integer NOT NULL,
    statements_total integer NOT NULL,
    statements_digest text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    actor text NOT NULL,
    stack text NOT NULL,
    tool_version text NOT NULL,
    error text NOT NULL DEFAULT '',
    chained_hash text NOT NULL DEFAULT ''
);
COMMENT ON TABLE chatdb.ledger IS
    'What was done to this database, written by chatdb. Rows are chained by hashes: an edit is found.';
COMMENT ON COLUMN chatdb.ledger.statements_total IS
    'Statements of the section; a section that runs as one transaction counts as one.';
COMMENT ON COLUMN chatdb.ledger.finished_at IS
    'NULL while a file without a transaction is half done; the next run goes on with it.';
CREATE TABLE IF NOT EXISTS chatdb.head (
    one boolean CONSTRAINT head_pkey PRIMARY KEY DEFAULT true CONSTRAINT head_one_check CHECK (one),
    sequence bigint NOT NULL,
    chained_hash text NOT NULL,
    fingerprint bigint NOT NULL
);
COMMENT ON TABLE chatdb.head IS 'The newest finished row of chatdb.ledger, and a fingerprint of all finished rows.';
INSERT INTO chatdb.head (sequence, chained_hash, fingerprint)
SELECT 0, '', 0 WHERE NOT EXISTS (SELECT FROM chatdb.ledger)
ON CONFLICT DO NOTHING;
REVOKE ALL ON SCHEMA chatdb FROM PUBLIC;
DO $chatdb$
DECLARE grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class AS class, aclexplode(class.relacl) AS entry
        WHERE class.relnamespace = 'chatdb'::regnamespace AND entry.grantee <> class.relowner
        UNION
        SELECT entry.grantee::regrole::text FROM pg_namespace AS namespace, aclexplode(namespace.nspacl) AS entry
        WHERE namespace.nspname = 'chatdb' AND entry.grantee NOT IN (0, namespace.nspowner)
    LOOP
        EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA chatdb FROM ' || grantee;
        EXECUTE 'REVOKE ALL ON SCHEMA chatdb FROM ' || grantee;
    END LOOP;
END
$chatdb$;
"""

# The fields of a row, joined by a character that none of them holds, after the hash of the row before.
_HASH = """\
encode(sha256(convert_to(concat_ws(chr(31), {previous}, {row}.sequence, {row}.version, {row}.name, {row}.checksum, \
{row}.direction, {row}.statements_total, {row}.statements_digest, extract(epoch FROM {row}.started_at), \
extract(epoch FROM {row}.finished_at), {row}.actor, {row}.stack, {row}.tool_version, {row}.error), 'UTF8')), 'hex')"""

# No value is composed into these but the text of _HASH; values go in as sql.Literal.
READ = f"""\
SELECT l.sequence, l.version, l.name, l.checksum, l.direction, l.statements_begun, l.statements_done, \
l.statements_total, l.statements_digest, extract(epoch FROM l.started_at)::float8, \
extract(epoch FROM l.finished_at)::float8, l.actor, l.stack, l.tool_version, l.error, l.chained_hash, \
CASE WHEN l.finished_at IS NULL AND l.sequence > h.sequence THEN '' \
WHEN l.sequence < h.sequence OR l.sequence = h.sequence AND l.chained_hash = h.chained_hash \
THEN {_HASH.format(previous="lag(l.chained_hash, 1, '') OVER (ORDER BY l.sequence)", row="l")} ELSE '-' END \
FROM chatdb.ledger AS l LEFT JOIN chatdb.head AS h ON true \
UNION ALL SELECT sequence, 0, '', '', 'removed', 0, 0, 0, '', NULL, NULL, '', '', '', '', chained_hash, '' \
FROM chatdb.head WHERE sequence > 0 AND sequence NOT IN (SELECT sequence FROM chatdb.ledger) ORDER BY 1"""  # noqa: S608

# Enough to find that nothing is to be done: the newest row of each version, and whether the rows are as they were
# written. A chain of 10,000 hashes takes the server several times as long to follow as this takes.
# hash_record_extended may differ between majors: a fingerprint that does not fit only means that the chain is followed.
READ_STANDING = """\
WITH rows AS (SELECT bit_xor(hash_record_extended(l, 0)) FILTER (WHERE finished_at IS NOT NULL) AS fingerprint, \
max(sequence) FILTER (WHERE finished_at IS NOT NULL) AS sequence FROM chatdb.ledger AS l), \
sound AS (SELECT EXISTS (SELECT FROM chatdb.head AS h, rows WHERE h.fingerprint = coalesce(rows.fingerprint, 0) \
AND h.sequence = coalesce(rows.sequence, 0) AND h.chained_hash = coalesce((SELECT l.chained_hash \
FROM chatdb.ledger AS l WHERE l.sequence = h.sequence), '')) AS sound), \
newest AS (SELECT max(sequence) AS sequence FROM chatdb.ledger GROUP BY version) \
SELECT sound, l.sequence, l.version, l.name, l.checksum, l.direction, l.statements_begun, l.statements_done, \
l.statements_total, l.statements_digest, extract(epoch FROM l.finished_at)::float8 \
FROM sound LEFT JOIN (newest JOIN chatdb.ledger AS l USING (sequence)) ON true ORDER BY l.sequence"""

REFRESH = """\
UPDATE chatdb.head SET fingerprint = coalesce((SELECT bit_xor(hash_record_extended(l, 0)) FROM chatdb.ledger AS l \
WHERE finished_at IS NOT NULL), 0)"""

# Where several files travel in one message, now() is when that message came: a file begins when the one before it ends.
APPEND = f"""\
WITH head AS MATERIALIZED (SELECT sequence + 1 AS sequence, chained_hash FROM chatdb.head FOR UPDATE), \
fields AS MATERIALIZED (SELECT head.sequence, {{version}} AS version, {{name}} AS name, {{checksum}} AS checksum, \
{{direction}} AS direction, 1 AS statements_total, '' AS statements_digest, \
greatest(now(), (SELECT l.finished_at FROM chatdb.ledger AS l WHERE l.sequence = head.sequence - 1)) AS started_at, \
clock_timestamp() AS finished_at, coalesce(nullif({{actor}}, ''), session_user) AS actor, {{stack}} AS stack, \
{{tool_version}} AS tool_version, '' AS error, head.chained_hash AS previous FROM head), \
added AS (INSERT INTO chatdb.ledger SELECT sequence, version, name, checksum, direction, 1, 1, 1, statements_digest, \
started_at, finished_at, actor, stack, tool_version, error, {_HASH.format(previous="previous", row="fields")} \
FROM fields RETURNING sequence, chained_hash, hash_record_extended(ledger, 0) AS fingerprint) \
UPDATE chatdb.head SET sequence = added.sequence, chained_hash = added.chained_hash, \
fingerprint = head.fingerprint # added.fingerprint FROM added"""  # noqa: S608

# The same statement, planned once for a whole run; EXECUTE then takes half of its time.
PREPARE = f"PREPARE chatdb_append (integer, text, text, text, text, text, text) AS {APPEND}".format(
    version="$1", name="$2", checksum="$3", direction="$4", actor="$5", stack="$6", tool_version="$7"
)
EXECUTE = "EXECUTE chatdb_append ({version}, {name}, {checksum}, {direction}, {actor}, {stack}, {tool_version})"

BEGIN = """\
INSERT INTO chatdb.ledger (sequence, version, name, checksum, direction, statements_begun, statements_done, \
statements_total, started_at, actor, stack, tool_version) \
SELECT sequence + 1, {version}, {name}, {checksum}, {direction}, 0, 0, {total}, clock_timestamp(), \
coalesce(nullif({actor}, ''), session_user), {stack}, {tool_version} FROM chatdb.head"""

# A file that was half applied is to be undone: its row is that of the way back from here on.
TURN = """\
UPDATE chatdb.ledger SET direction = 'down', statements_begun = 0, statements_done = 0, statements_total = {total}, \
statements_digest = '', error = '', started_at = clock_timestamp(), \
actor = coalesce(nullif({actor}, ''), session_user), stack = {stack}, tool_version = {tool_version} \
WHERE finished_at IS NULL AND version = {version}"""

PROGRESS = """\
UPDATE chatdb.ledger SET statements_begun = {begun}, statements_done = {done}, statements_total = {total}, \
statements_digest = {digest}, checksum = {checksum}, name = {name}, error = {error} \
WHERE finished_at IS NULL AND version = {version} AND direction = {direction}"""

FINISH = f"""\
WITH head AS MATERIALIZED (SELECT sequence, chained_hash FROM chatdb.head FOR UPDATE), \
fields AS MATERIALIZED (SELECT l.sequence, l.version, l.name, l.checksum, l.direction, l.statements_total, \
l.statements_digest, l.started_at, clock_timestamp() AS finished_at, l.actor, l.stack, l.tool_version, l.error, \
head.chained_hash AS previous FROM chatdb.ledger AS l JOIN head ON l.sequence = head.sequence + 1 \
WHERE l.finished_at IS NULL AND l.version = {{version}} AND l.direction = {{direction}}), \
finished AS (UPDATE chatdb.ledger AS l SET finished_at = fields.finished_at, \
chained_hash = {_HASH.format(previous="fields.previous", row="fields")} \
FROM fields WHERE l.sequence = fields.sequence \
RETURNING l.sequence, l.chained_hash, hash_record_extended(l, 0) AS fingerprint) \
UPDATE chatdb.head SET sequence = finished.sequence, chained_hash = finished.chained_hash, \
fingerprint = head.fingerprint # finished.fingerprint FROM finished"""  # noqa: S608
