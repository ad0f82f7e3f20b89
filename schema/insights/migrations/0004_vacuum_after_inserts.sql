-- Messages are written once and hardly ever changed, so vacuum comes round only by inserts; the default waits for a
-- fifth of the table. After every fiftieth the visibility map stays fresh, and index-only scans and wraparound work
-- stay small.
--
-- Locks: SHARE UPDATE EXCLUSIVE on chat_messages for a moment: reads and writes go on.

-- migrate:up

ALTER TABLE public.chat_messages SET (autovacuum_vacuum_insert_scale_factor = 0.02);

-- migrate:down

ALTER TABLE IF EXISTS public.chat_messages RESET (autovacuum_vacuum_insert_scale_factor);
