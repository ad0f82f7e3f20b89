-- The whole schema of the storefront's chat at its newest version, for reading. The migrations make it; a test proves
-- them equal.

-- Times are without time zone and counts are integers: the product's document fixes both.

-- A conversation; user_id is empty for a visitor who is not logged in. The application makes the keys.
CREATE TABLE public.chat_sessions (
    id text CONSTRAINT chat_sessions_pkey PRIMARY KEY,
    user_id text,
    session_token text NOT NULL CONSTRAINT chat_sessions_session_token_unique UNIQUE,
    started_at timestamp NOT NULL DEFAULT now(),
    ended_at timestamp,
    last_message_at timestamp NOT NULL DEFAULT now(),
    message_count integer NOT NULL DEFAULT 0,
    user_agent text,
    ip_address text
) WITH (fillfactor = 85);

-- A message of a conversation; the function columns are for what the assistant called.
CREATE TABLE public.chat_messages (
    id text CONSTRAINT chat_messages_pkey PRIMARY KEY,
    session_id text NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    function_name text,
    function_args text,
    function_result text,
    "timestamp" timestamp NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- What a conversation led to.
CREATE TABLE public.chat_analytics (
    id text CONSTRAINT chat_analytics_pkey PRIMARY KEY,
    session_id text NOT NULL,
    products_viewed text,
    products_added_to_cart text,
    query_type text,
    user_satisfaction integer,
    conversion_occurred integer DEFAULT 0,
    total_cost_usd numeric(10, 4),
    created_at timestamp NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- Analytics go with their session.
ALTER TABLE public.chat_analytics
    ADD CONSTRAINT chat_analytics_session_id_chat_sessions_id_fk
    FOREIGN KEY (session_id) REFERENCES public.chat_sessions (id) ON DELETE CASCADE ON UPDATE NO ACTION;

-- Messages go with their session.
ALTER TABLE public.chat_messages
    ADD CONSTRAINT chat_messages_session_id_chat_sessions_id_fk
    FOREIGN KEY (session_id) REFERENCES public.chat_sessions (id) ON DELETE CASCADE ON UPDATE NO ACTION;

-- A session outlives its user, without a name.
ALTER TABLE public.chat_sessions
    ADD CONSTRAINT chat_sessions_user_id_users_id_fk
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE SET NULL ON UPDATE NO ACTION;

-- Messages of a session in order, a page at a time.
CREATE INDEX chat_messages_session_id_timestamp_id_idx
    ON public.chat_messages (session_id, "timestamp", id);

-- Analytics of a session.
CREATE INDEX chat_analytics_session_id_idx
    ON public.chat_analytics (session_id);

-- Sessions of a user, newest first. By started_at, which never changes: last_message_at changes with each message,
-- and an index on it would cost every message an index entry.
CREATE INDEX chat_sessions_user_id_started_at_id_idx
    ON public.chat_sessions (user_id, started_at DESC, id DESC);

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
