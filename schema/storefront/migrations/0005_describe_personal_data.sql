-- Says in the database itself what the tables hold and which columns are personal data, so that whoever grants, exports
-- or deletes can see it there.
--
-- Locks: SHARE UPDATE EXCLUSIVE on the three tables until the file commits, which is a moment: reads and writes go on.

-- migrate:up

COMMENT ON TABLE public.chat_sessions IS 'Conversations with the shop''s assistant; a session outlives its user';

COMMENT ON COLUMN public.chat_sessions.user_id IS
    'User of the shop; empty for a visitor, and after the user was deleted';

COMMENT ON COLUMN public.chat_sessions.session_token IS
    'Secret that lets a visitor go on with the session: never shown or logged';

COMMENT ON COLUMN public.chat_sessions.user_agent IS 'Browser of the visitor: personal data';

COMMENT ON COLUMN public.chat_sessions.ip_address IS 'Address of the visitor: personal data';

COMMENT ON TABLE public.chat_messages IS 'Messages of the sessions; they are deleted with their session';

COMMENT ON COLUMN public.chat_messages.content IS 'Text of the message: personal data';

COMMENT ON COLUMN public.chat_messages.function_args IS
    'Arguments of the function that the assistant called: may hold personal data';

COMMENT ON COLUMN public.chat_messages.function_result IS 'What that function returned: may hold personal data';

COMMENT ON TABLE public.chat_analytics IS 'What the sessions led to; deleted with their session';

COMMENT ON COLUMN public.chat_analytics.total_cost_usd IS 'Cost of the session''s answers in US dollars';

-- migrate:down

-- Where a table was dropped by hand there is nothing to undo.
DO $$
BEGIN
    IF to_regclass('public.chat_analytics') IS NOT NULL THEN
        COMMENT ON COLUMN public.chat_analytics.total_cost_usd IS NULL;
        COMMENT ON TABLE public.chat_analytics IS NULL;
    END IF;
    IF to_regclass('public.chat_messages') IS NOT NULL THEN
        COMMENT ON COLUMN public.chat_messages.function_result IS NULL;
        COMMENT ON COLUMN public.chat_messages.function_args IS NULL;
        COMMENT ON COLUMN public.chat_messages.content IS NULL;
        COMMENT ON TABLE public.chat_messages IS NULL;
    END IF;
    IF to_regclass('public.chat_sessions') IS NOT NULL THEN
        COMMENT ON COLUMN public.chat_sessions.ip_address IS NULL;
        COMMENT ON COLUMN public.chat_sessions.user_agent IS NULL;
        COMMENT ON COLUMN public.chat_sessions.session_token IS NULL;
        COMMENT ON COLUMN public.chat_sessions.user_id IS NULL;
        COMMENT ON TABLE public.chat_sessions IS NULL;
    END IF;
END
$$;
