-- Each message updates its chat (updated_at, not indexed). With room left on the page the new version of the row stays
-- there (HOT) and no index is written.
--
-- Locks: SHARE UPDATE EXCLUSIVE on chats for a moment: reads and writes go on. Pages written from now on keep the room;
-- those that stand are not rewritten.

-- migrate:up

ALTER TABLE public.chats SET (fillfactor = 85);

-- migrate:down

ALTER TABLE IF EXISTS public.chats RESET (fillfactor);
