-- Stand-in for the shop's table that the sessions point to. For dev and tests: prod has the real one.

-- Its keys are text, made by the shop.
CREATE TABLE IF NOT EXISTS public.users (
    id text CONSTRAINT users_pkey PRIMARY KEY
);
