-- The whole schema of Insights' chats at its newest version, for reading. The migrations make it; a test proves them
-- equal.

-- The product's document gives these columns their lengths.

-- A chat goes with its agent, its user or its account. The application makes the keys and sets updated_at.
CREATE TABLE public.chats (
    id uuid CONSTRAINT chats_pkey PRIMARY KEY,
    title varchar(255) NOT NULL DEFAULT 'New Chat',
    agent_id uuid NOT NULL
        CONSTRAINT chats_agent_id_fkey REFERENCES public.agents (id) ON DELETE CASCADE,
    user_id uuid NOT NULL
        CONSTRAINT chats_user_id_fkey REFERENCES public.users (id) ON DELETE CASCADE,
    account_id uuid NOT NULL
        CONSTRAINT chats_account_id_fkey REFERENCES public.accounts (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);

-- Chats with an agent.
CREATE INDEX ix_chats_agent_id ON public.chats (agent_id);

-- Chats of a user.
CREATE INDEX ix_chats_user_id ON public.chats (user_id);

-- Chats in an account.
CREATE INDEX ix_chats_account_id ON public.chats (account_id);

-- A message goes with its chat. role and action are free text here: the application knows their values.
CREATE TABLE public.chat_messages (
    id uuid CONSTRAINT chat_messages_pkey PRIMARY KEY,
    chat_id uuid NOT NULL
        CONSTRAINT chat_messages_chat_id_fkey REFERENCES public.chats (id) ON DELETE CASCADE,
    role varchar(20) NOT NULL,
    content text NOT NULL,
    action varchar(50),
    dax_attempts text,
    final_dax text,
    resolution_note text,
    error text,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- Messages of a chat.
CREATE INDEX ix_chat_messages_chat_id ON public.chat_messages (chat_id);

-- Messages of a chat in order.
CREATE INDEX ix_chat_messages_history
    ON public.chat_messages (chat_id, created_at, id);

-- Chats of a user, newest first. By created_at, which never changes: updated_at changes with each message, and an
-- index on it would cost every message an index entry.
CREATE INDEX ix_chats_history
    ON public.chats (user_id, created_at DESC, id DESC);

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
