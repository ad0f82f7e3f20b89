-- A chat is read in order, a page at a time; the chats of a user are listed newest first. One index each serves the
-- filter, the order and the place to go on from; without it each page sorts all rows of the chat or the user.
--
-- Locks: built online (SHARE UPDATE EXCLUSIVE on the two tables in turn): reads and writes go on.

-- migrate:up transaction:false

-- Messages of a chat in order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_chat_messages_history
    ON public.chat_messages (chat_id, created_at, id);

-- Chats of a user, newest first. By created_at, which never changes: updated_at changes with each message, and an
-- index on it would cost every message an index entry.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_chats_history
    ON public.chats (user_id, created_at DESC, id DESC);

-- migrate:down transaction:false

DROP INDEX CONCURRENTLY IF EXISTS public.ix_chats_history;

DROP INDEX CONCURRENTLY IF EXISTS public.ix_chat_messages_history;
