-- Chats are written once and hardly ever changed, so vacuum comes round only by inserts; the default waits for a
-- fifth of the table. After every fiftieth the visibility map stays fresh, and index-only scans and wraparound work
-- stay small.
--
-- Locks: SHARE UPDATE EXCLUSIVE on chats for a moment: reads and writes go on.

-- migrate:up

ALTER TABLE public.chats SET (autovacuum_vacuum_insert_scale_factor = 0.02);

-- migrate:down

ALTER TABLE IF EXISTS public.chats RESET (autovacuum_vacuum_insert_scale_factor);
