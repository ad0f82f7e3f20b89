-- Stand-in for the platform's table that the chats point to. For dev and tests: prod has the real one.

-- With the columns that the platform's registration fills.
CREATE TABLE IF NOT EXISTS public.users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    email text NOT NULL CONSTRAINT users_email_key UNIQUE,
    hashed_password text NOT NULL,
    software_experience text,
    hardware_experience text
);
