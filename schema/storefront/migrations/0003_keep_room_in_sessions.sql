-- Each message updates its session (message_count, last_message_at), neither of them indexed. With room left on the
-- page the new version of the row stays there (HOT) and no index is written.
--
-- Locks: SHARE UPDATE EXCLUSIVE on chat_sessions for a moment: reads and writes go on. Pages written from now on keep
-- the room; those that stand are not rewritten.

-- migrate:up

ALTER TABLE public.chat_sessions SET (fillfactor = 85);

-- migrate:down

ALTER TABLE IF EXISTS public.chat_sessions RESET (fillfactor);
