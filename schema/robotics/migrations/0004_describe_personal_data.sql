-- Says in the database itself that questions and answers are personal data, so that whoever grants, exports or
-- deletes can see it there.
--
-- Locks: SHARE UPDATE EXCLUSIVE on chats until the file commits, which is a moment: reads and writes go on.

-- migrate:up

COMMENT ON TABLE public.chats IS 'Questions of logged-in readers and their answers; deleted with the user';

COMMENT ON COLUMN public.chats.user_id IS 'Reader who asked';

COMMENT ON COLUMN public.chats.query IS 'The question: personal data';

COMMENT ON COLUMN public.chats.response IS 'The answer: may hold personal data';

COMMENT ON COLUMN public.chats.metadata IS 'Context of the answer: may hold personal data';

-- migrate:down

-- Where the table was dropped by hand there is nothing to undo.
DO $$
BEGIN
    IF to_regclass('public.chats') IS NOT NULL THEN
        COMMENT ON COLUMN public.chats.metadata IS NULL;
        COMMENT ON COLUMN public.chats.response IS NULL;
        COMMENT ON COLUMN public.chats.query IS NULL;
        COMMENT ON COLUMN public.chats.user_id IS NULL;
        COMMENT ON TABLE public.chats IS NULL;
    END IF;
END
$$;
