-- The whole schema of FutureGuide's chat service at its newest version, for reading. The migrations make it; a test
-- proves them equal. The role fg_user stands before.

-- Short values have a length and token counts of one answer fit an integer: the product's own choice.

-- A schema of its own, so that everything goes with it.
CREATE SCHEMA chat;

COMMENT ON SCHEMA chat IS 'Chat service of FutureGuide: conversations, messages, usage';

-- A conversation goes with its user. Keys are made here or by the service.
CREATE TABLE chat.conversations (
    id uuid CONSTRAINT conversations_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL
        CONSTRAINT conversations_user_id_fkey REFERENCES auth.users (id) ON DELETE CASCADE,
    title varchar(255) NOT NULL DEFAULT 'New Conversation',
    context_type varchar(50) NOT NULL DEFAULT 'general'
        CONSTRAINT conversations_context_type_check
        CHECK (context_type IN ('general', 'assessment', 'career_guidance')),
    context_data jsonb,
    status varchar(20) NOT NULL DEFAULT 'active'
        CONSTRAINT conversations_status_check CHECK (status IN ('active', 'archived', 'deleted')),
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- What the composite foreign keys below point to.
    CONSTRAINT conversations_id_user_id_key UNIQUE (id, user_id)
);

-- The composite key keeps a message with its conversation's user, so that the policy needs no look-up.
-- parent_message_id is a plain key: SET NULL of one column of several is not in PostgreSQL 14.
CREATE TABLE chat.messages (
    id uuid CONSTRAINT messages_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL,
    user_id uuid NOT NULL,
    sender_type varchar(20) NOT NULL
        CONSTRAINT messages_sender_type_check CHECK (sender_type IN ('user', 'assistant', 'system')),
    content text NOT NULL,
    content_type varchar(20) NOT NULL DEFAULT 'text'
        CONSTRAINT messages_content_type_check CHECK (content_type IN ('text', 'image', 'file')),
    metadata jsonb,
    parent_message_id uuid
        CONSTRAINT messages_parent_message_id_fkey REFERENCES chat.messages (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT messages_conversation_id_user_id_fkey
        FOREIGN KEY (conversation_id, user_id) REFERENCES chat.conversations (id, user_id) ON DELETE CASCADE
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- Usage of one answer; conversation and message may be empty for use outside a conversation.
CREATE TABLE chat.usage_tracking (
    id uuid CONSTRAINT usage_tracking_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid,
    message_id uuid
        CONSTRAINT usage_tracking_message_id_fkey REFERENCES chat.messages (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    model_used varchar(100) NOT NULL,
    prompt_tokens integer NOT NULL DEFAULT 0
        CONSTRAINT usage_tracking_prompt_tokens_check CHECK (prompt_tokens >= 0),
    completion_tokens integer NOT NULL DEFAULT 0
        CONSTRAINT usage_tracking_completion_tokens_check CHECK (completion_tokens >= 0),
    total_tokens integer NOT NULL DEFAULT 0
        CONSTRAINT usage_tracking_total_tokens_check CHECK (total_tokens >= 0),
    cost_credits numeric(10, 6) NOT NULL DEFAULT 0
        CONSTRAINT usage_tracking_cost_credits_check CHECK (cost_credits >= 0),
    is_free_model boolean NOT NULL DEFAULT false,
    processing_time_ms integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT usage_tracking_conversation_id_user_id_fkey
        FOREIGN KEY (conversation_id, user_id) REFERENCES chat.conversations (id, user_id) ON DELETE CASCADE
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);

-- Conversations of a user by last change, a page at a time; also the foreign key to auth.users.
CREATE INDEX conversations_user_id_updated_at_id_idx
    ON chat.conversations (user_id, updated_at DESC, id DESC);

-- Messages of a conversation in order: the policy fixes user_id, so the rows come out sorted. Also the foreign key.
CREATE INDEX messages_conversation_id_user_id_created_at_id_idx
    ON chat.messages (conversation_id, user_id, created_at, id);

-- Answers to a message: the foreign key.
CREATE INDEX messages_parent_message_id_idx ON chat.messages (parent_message_id);

-- Usage of a conversation: the foreign key.
CREATE INDEX usage_tracking_conversation_id_user_id_idx
    ON chat.usage_tracking (conversation_id, user_id);

-- Usage of a message: the foreign key.
CREATE INDEX usage_tracking_message_id_idx ON chat.usage_tracking (message_id);

-- Usage of a user over time.
CREATE INDEX usage_tracking_user_id_created_at_idx ON chat.usage_tracking (user_id, created_at);

-- Usage of a model over time.
CREATE INDEX usage_tracking_model_used_created_at_idx ON chat.usage_tracking (model_used, created_at);

-- In this schema, so that it goes with it; with a fixed search_path, so that no caller can put another now() before it.
CREATE FUNCTION chat.set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    NEW.updated_at := pg_catalog.now();
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION chat.set_updated_at() IS 'Sets updated_at to the time of the transaction';

CREATE TRIGGER conversations_set_updated_at
    BEFORE UPDATE ON chat.conversations
    FOR EACH ROW EXECUTE FUNCTION chat.set_updated_at();

-- FORCE: who owns the tables sees no more rows than others do.
ALTER TABLE chat.conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat.conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE chat.messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat.messages FORCE ROW LEVEL SECURITY;
ALTER TABLE chat.usage_tracking ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat.usage_tracking FORCE ROW LEVEL SECURITY;

-- The setting is read once a statement (a sub-select). Unset or empty means nobody: no rows, no error.
CREATE POLICY conversations_own_rows ON chat.conversations
    FOR ALL TO fg_user
    USING (user_id = (SELECT nullif(current_setting('app.current_user_id', true), '')::uuid))
    WITH CHECK (user_id = (SELECT nullif(current_setting('app.current_user_id', true), '')::uuid));

-- The same for messages, by their own user_id.
CREATE POLICY messages_own_rows ON chat.messages
    FOR ALL TO fg_user
    USING (user_id = (SELECT nullif(current_setting('app.current_user_id', true), '')::uuid))
    WITH CHECK (user_id = (SELECT nullif(current_setting('app.current_user_id', true), '')::uuid));

-- The same for usage, by its own user_id.
CREATE POLICY usage_tracking_own_rows ON chat.usage_tracking
    FOR ALL TO fg_user
    USING (user_id = (SELECT nullif(current_setting('app.current_user_id', true), '')::uuid))
    WITH CHECK (user_id = (SELECT nullif(current_setting('app.current_user_id', true), '')::uuid));

-- What answers cost is counted over all users, by a role that reads figures and no content.
CREATE POLICY usage_tracking_figures ON chat.usage_tracking
    FOR SELECT TO futureguide_analytics
    USING (true);

COMMENT ON TABLE chat.conversations IS 'Conversations of users with the career guide';
COMMENT ON COLUMN chat.conversations.id IS 'Key of the conversation';
COMMENT ON COLUMN chat.conversations.user_id IS 'User who owns it; it is deleted with the user';
COMMENT ON COLUMN chat.conversations.title IS 'Title shown to the user: may hold personal data';
COMMENT ON COLUMN chat.conversations.context_type IS 'What it is about: general, assessment or career_guidance';
COMMENT ON COLUMN chat.conversations.context_data IS
    'Data the guide starts from, such as assessment results: personal data';
COMMENT ON COLUMN chat.conversations.status IS 'State of it: active, archived or deleted';
COMMENT ON COLUMN chat.conversations.metadata IS 'Room for what is not foreseen';
COMMENT ON COLUMN chat.conversations.created_at IS 'When it was begun';
COMMENT ON COLUMN chat.conversations.updated_at IS 'When it was last changed; set by a trigger';
COMMENT ON TABLE chat.messages IS 'Messages of the conversations';
COMMENT ON COLUMN chat.messages.id IS 'Key of the message';
COMMENT ON COLUMN chat.messages.conversation_id IS 'Conversation it belongs to; it is deleted with the conversation';
COMMENT ON COLUMN chat.messages.user_id IS 'User of the conversation, kept equal by the foreign key';
COMMENT ON COLUMN chat.messages.sender_type IS 'Who wrote it: user, assistant or system';
COMMENT ON COLUMN chat.messages.content IS 'Text of the message: personal data';
COMMENT ON COLUMN chat.messages.content_type IS 'Kind of content: text, image or file';
COMMENT ON COLUMN chat.messages.metadata IS 'Room for what is not foreseen';
COMMENT ON COLUMN chat.messages.parent_message_id IS 'Message it answers; empty when there is none, or it was deleted';
COMMENT ON COLUMN chat.messages.created_at IS 'When it was written';
COMMENT ON TABLE chat.usage_tracking IS 'Tokens and cost of the answers';
COMMENT ON COLUMN chat.usage_tracking.id IS 'Key of the record';
COMMENT ON COLUMN chat.usage_tracking.conversation_id IS 'Conversation it was spent in; deleted with it';
COMMENT ON COLUMN chat.usage_tracking.message_id IS 'Message it was spent on; deleted with it';
COMMENT ON COLUMN chat.usage_tracking.user_id IS
    'User it was spent for; the conversation''s user where there is a conversation';
COMMENT ON COLUMN chat.usage_tracking.model_used IS 'Model that answered';
COMMENT ON COLUMN chat.usage_tracking.prompt_tokens IS 'Tokens read';
COMMENT ON COLUMN chat.usage_tracking.completion_tokens IS 'Tokens written';
COMMENT ON COLUMN chat.usage_tracking.total_tokens IS 'Tokens in all';
COMMENT ON COLUMN chat.usage_tracking.cost_credits IS 'Cost in credits';
COMMENT ON COLUMN chat.usage_tracking.is_free_model IS 'Whether the model is free of charge';
COMMENT ON COLUMN chat.usage_tracking.processing_time_ms IS 'Time the answer took in milliseconds';
COMMENT ON COLUMN chat.usage_tracking.created_at IS 'When it was recorded';
