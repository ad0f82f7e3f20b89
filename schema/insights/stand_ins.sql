-- Stand-ins for the application's three tables that a chat belongs to. For dev and tests: prod has the real ones.

CREATE TABLE IF NOT EXISTS public.agents (
    id uuid CONSTRAINT agents_pkey PRIMARY KEY DEFAULT gen_random_uuid()
);

CREATE TABLE IF NOT EXISTS public.users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY DEFAULT gen_random_uuid()
);

CREATE TABLE IF NOT EXISTS public.accounts (
    id uuid CONSTRAINT accounts_pkey PRIMARY KEY DEFAULT gen_random_uuid()
);
