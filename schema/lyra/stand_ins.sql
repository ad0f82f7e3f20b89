-- Stand-in for the application's table that the messages point to. For dev and tests: prod has the real one.

CREATE TABLE IF NOT EXISTS public.users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY DEFAULT gen_random_uuid()
);
