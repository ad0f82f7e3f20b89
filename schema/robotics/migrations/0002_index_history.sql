-- A reader's history is read newest first, a page at a time: (created_at, id) < (last seen). One index serves the
-- filter, the order and the place to go on from; without it each page sorts all chats of the reader.
--
-- Locks: built online (SHARE UPDATE EXCLUSIVE on chats): reads and writes go on.

-- migrate:up transaction:false

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_chats_history
    ON public.chats (user_id, created_at DESC, id DESC);

-- migrate:down transaction:false

DROP INDEX CONCURRENTLY IF EXISTS public.idx_chats_history;
