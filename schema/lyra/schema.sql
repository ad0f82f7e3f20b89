-- The whole schema of Lyra AI at its newest version, for reading. The migrations make it; a test proves them equal.

-- Message time is without time zone and sender has a length: the product's document fixes both.

-- A message goes with its user; user_id, text and sender are all that must be given.
CREATE TABLE public.chat_messages (
    id uuid CONSTRAINT chat_messages_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT chat_messages_user_id_fkey REFERENCES public.users (id) ON DELETE CASCADE,
    text text NOT NULL,
    sender varchar(10) NOT NULL
        CONSTRAINT chat_messages_sender_check CHECK (sender IN ('user', 'lyra')),
    is_voice boolean DEFAULT false,
    created_at timestamp DEFAULT now()
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- Messages of a user; also what a deleted user's cascade looks up.
CREATE INDEX idx_chat_messages_user_id ON public.chat_messages (user_id);

-- Messages in the order of time.
CREATE INDEX idx_chat_messages_created_at ON public.chat_messages (created_at);

-- Messages of one side.
CREATE INDEX idx_chat_messages_sender ON public.chat_messages (sender);

COMMENT ON TABLE public.chat_messages IS 'Chat messages between users and Lyra';
COMMENT ON COLUMN public.chat_messages.id IS 'Key of the message';
COMMENT ON COLUMN public.chat_messages.user_id IS 'User who owns the message; it is deleted with the user';
COMMENT ON COLUMN public.chat_messages.text IS 'Content of the message: personal data';
COMMENT ON COLUMN public.chat_messages.sender IS 'Who sent it: user or lyra';
COMMENT ON COLUMN public.chat_messages.is_voice IS 'Whether it was spoken rather than typed';
COMMENT ON COLUMN public.chat_messages.created_at IS
    'When it was written, in the time zone of the session that wrote it';

CREATE INDEX idx_chat_messages_history
    ON public.chat_messages (user_id, created_at DESC, id DESC);
