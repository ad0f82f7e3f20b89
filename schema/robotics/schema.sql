-- The whole schema of the robotics platform's chats at its newest version, for reading. The migrations make it; a test
-- proves them equal.

-- Deleting a user deletes their chats: that is intended.
CREATE TABLE public.chats (
    id uuid CONSTRAINT chats_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT chats_user_id_fkey REFERENCES public.users (id) ON DELETE CASCADE,
    query text NOT NULL,
    response text NOT NULL,
    metadata jsonb,
    created_at timestamptz DEFAULT now()
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- Chats of a user; also what a deleted user's cascade looks up.
CREATE INDEX idx_chats_user_id ON public.chats (user_id);

-- Chats in the order of time.
CREATE INDEX idx_chats_created_at ON public.chats (created_at);

CREATE INDEX idx_chats_history
    ON public.chats (user_id, created_at DESC, id DESC);

COMMENT ON TABLE public.chats IS 'Questions of logged-in readers and their answers; deleted with the user';
COMMENT ON COLUMN public.chats.user_id IS 'Reader who asked';
COMMENT ON COLUMN public.chats.query IS 'The question: personal data';
COMMENT ON COLUMN public.chats.response IS 'The answer: may hold personal data';
COMMENT ON COLUMN public.chats.metadata IS 'Context of the answer: may hold personal data';
