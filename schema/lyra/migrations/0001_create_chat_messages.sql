-- Messages between a user and Lyra, kept so that a conversation goes on across devices.
--
-- Locks: public.users is locked against writes (SHARE ROW EXCLUSIVE) while the foreign key is made; the new table is
-- empty, so that is a moment. Nothing else that is in use is touched.

-- migrate:up

-- Message time is without time zone and sender has a length: the product's document fixes both.
-- squawk-ignore-file prefer-timestamp-tz, prefer-text-field

-- A message goes with its user; user_id, text and sender are all that must be given.
CREATE TABLE IF NOT EXISTS public.chat_messages (
    id uuid CONSTRAINT chat_messages_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT chat_messages_user_id_fkey REFERENCES public.users (id) ON DELETE CASCADE,
    text text NOT NULL,
    sender varchar(10) NOT NULL
        CONSTRAINT chat_messages_sender_check CHECK (sender IN ('user', 'lyra')),
    is_voice boolean DEFAULT false,
    created_at timestamp DEFAULT now()
);

-- Messages of a user; also what a deleted user's cascade looks up.
CREATE INDEX IF NOT EXISTS idx_chat_messages_user_id ON public.chat_messages (user_id);

-- Messages in the order of time.
CREATE INDEX IF NOT EXISTS idx_chat_messages_created_at ON public.chat_messages (created_at);

-- Messages of one side.
CREATE INDEX IF NOT EXISTS idx_chat_messages_sender ON public.chat_messages (sender);

COMMENT ON TABLE public.chat_messages IS 'Chat messages between users and Lyra';

COMMENT ON COLUMN public.chat_messages.id IS 'Key of the message';

COMMENT ON COLUMN public.chat_messages.user_id IS 'User who owns the message; it is deleted with the user';

COMMENT ON COLUMN public.chat_messages.text IS 'Content of the message: personal data';

COMMENT ON COLUMN public.chat_messages.sender IS 'Who sent it: user or lyra';

COMMENT ON COLUMN public.chat_messages.is_voice IS 'Whether it was spoken rather than typed';

COMMENT ON COLUMN public.chat_messages.created_at IS
    'When it was written, in the time zone of the session that wrote it';

-- migrate:down

-- The indexes and comments go with the table. No CASCADE: what others built on the table stops this, and is named.
-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chat_messages;
