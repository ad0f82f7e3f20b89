-- Questions of logged-in readers and the answers they got.
--
-- Locks: public.users is locked against writes (SHARE ROW EXCLUSIVE) while the foreign key is made; the new table is
-- empty, so that is a moment. Nothing else that is in use is touched.

-- migrate:up

-- Deleting a user deletes their chats: that is intended.
CREATE TABLE IF NOT EXISTS public.chats (
    id uuid CONSTRAINT chats_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT chats_user_id_fkey REFERENCES public.users (id) ON DELETE CASCADE,
    query text NOT NULL,
    response text NOT NULL,
    metadata jsonb,
    created_at timestamptz DEFAULT now()
);

-- Chats of a user; also what a deleted user's cascade looks up.
CREATE INDEX IF NOT EXISTS idx_chats_user_id ON public.chats (user_id);

-- Chats in the order of time.
CREATE INDEX IF NOT EXISTS idx_chats_created_at ON public.chats (created_at);

-- migrate:down

-- The indexes go with the table. No CASCADE: what others built on the table stops this, and is named.
-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS public.chats;
