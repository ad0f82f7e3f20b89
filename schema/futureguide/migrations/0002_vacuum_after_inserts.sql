-- Messages and usage are written once and hardly ever changed, so vacuum comes round only by inserts; the default
-- waits for a fifth of the table. After every fiftieth the visibility map stays fresh and wraparound work stays
-- small.
--
-- Locks: SHARE UPDATE EXCLUSIVE on the two tables for a moment: reads and writes go on.

-- migrate:up

ALTER TABLE chat.messages SET (autovacuum_vacuum_insert_scale_factor = 0.02);

ALTER TABLE chat.usage_tracking SET (autovacuum_vacuum_insert_scale_factor = 0.02);

-- migrate:down

ALTER TABLE IF EXISTS chat.usage_tracking RESET (autovacuum_vacuum_insert_scale_factor);

ALTER TABLE IF EXISTS chat.messages RESET (autovacuum_vacuum_insert_scale_factor);
