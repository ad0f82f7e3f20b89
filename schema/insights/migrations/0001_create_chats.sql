-- Chats of a user with an agent in an account, and their messages.
--
-- Locks: public.agents, public.users and public.accounts are locked against writes (SHARE ROW EXCLUSIVE) while the
-- foreign keys are made; the new table is empty, so that is a moment. Nothing else that is in use is touched. A table
-- that stands already is an error here, not a notice.

-- migrate:up

-- The product's document gives these columns their lengths.
-- squawk-ignore-file prefer-text-field

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
);

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
);

-- Messages of a chat.
CREATE INDEX ix_chat_messages_chat_id ON public.chat_messages (chat_id);

-- migrate:down

-- In the document's order: index, messages, indexes, chats. No CASCADE: what others built on them stops this.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS public.ix_chat_messages_chat_id;

-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chat_messages;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS public.ix_chats_account_id;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS public.ix_chats_user_id;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS public.ix_chats_agent_id;

-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chats;
