-- Sessions of the shop's assistant, their messages, and what they looked at and bought.
--
-- Locks: public.users is locked against writes (SHARE ROW EXCLUSIVE) while the last foreign key is made; chat_sessions
-- is empty, so that is a moment. Nothing else that is in use is touched.

-- migrate:up

-- Times are without time zone and counts are integers: the product's document fixes both.
-- squawk-ignore-file prefer-timestamp-tz, prefer-bigint-over-int

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
);

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
);

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
);

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

-- migrate:down

-- Children first. No CASCADE: what others built on the tables stops this, and is named.
-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chat_analytics;

-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chat_messages;

-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chat_sessions;
