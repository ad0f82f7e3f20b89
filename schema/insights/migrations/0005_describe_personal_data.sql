-- Says in the database itself what the tables hold, which columns are personal data and which values the application
-- writes, so that whoever grants, exports or deletes can see it there.
--
-- Locks: SHARE UPDATE EXCLUSIVE on the two tables until the file commits, which is a moment: reads and writes go on.

-- migrate:up

COMMENT ON TABLE public.chats IS 'Chats of a user with an agent in an account; deleted with any of the three';

COMMENT ON COLUMN public.chats.title IS 'Title of the chat: may hold personal data';

COMMENT ON COLUMN public.chats.updated_at IS 'Time of the last change, set by the application';

COMMENT ON TABLE public.chat_messages IS 'Messages of the chats; deleted with their chat';

COMMENT ON COLUMN public.chat_messages.role IS 'Who wrote it: user or assistant';

COMMENT ON COLUMN public.chat_messages.content IS 'Text of the message: personal data';

COMMENT ON COLUMN public.chat_messages.action IS 'What the assistant did: DESCRIBE, QUERY or ERROR';

COMMENT ON COLUMN public.chat_messages.dax_attempts IS 'Queries that were tried, as a JSON array of strings';

COMMENT ON COLUMN public.chat_messages.final_dax IS 'The query that answered';

COMMENT ON COLUMN public.chat_messages.resolution_note IS 'How the query was mended';

COMMENT ON COLUMN public.chat_messages.error IS 'What went wrong, where something did';

-- migrate:down

-- Where a table was dropped by hand there is nothing to undo.
DO $$
BEGIN
    IF to_regclass('public.chat_messages') IS NOT NULL THEN
        COMMENT ON COLUMN public.chat_messages.error IS NULL;
        COMMENT ON COLUMN public.chat_messages.resolution_note IS NULL;
        COMMENT ON COLUMN public.chat_messages.final_dax IS NULL;
        COMMENT ON COLUMN public.chat_messages.dax_attempts IS NULL;
        COMMENT ON COLUMN public.chat_messages.action IS NULL;
        COMMENT ON COLUMN public.chat_messages.content IS NULL;
        COMMENT ON COLUMN public.chat_messages.role IS NULL;
        COMMENT ON TABLE public.chat_messages IS NULL;
    END IF;
    IF to_regclass('public.chats') IS NOT NULL THEN
        COMMENT ON COLUMN public.chats.updated_at IS NULL;
        COMMENT ON COLUMN public.chats.title IS NULL;
        COMMENT ON TABLE public.chats IS NULL;
    END IF;
END
$$;
