"""`chatdb new`: a template with the next number, and drafts that are tried, compared, never applied by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.connection import Target, connect
from infra.migrations.filename import parse
from tests.cli.conftest import Shell


def schema_of(shell: Shell, name: str) -> Path:
    return shell.project.folder / "schema" / name / "schema.sql"


def test_a_new_file_has_the_next_number_and_the_places_to_fill_in(own_shell: Shell) -> None:
    """Reason, locks, up and down; a name in words becomes a file's name."""
    said = own_shell.done(None, "new", "Add Reactions", "--product", "lyra")
    assert said == "wrote schema/lyra/migrations/0004_add_reactions.sql\n"
    file = own_shell.project.folder / "schema/lyra/migrations/0004_add_reactions.sql"
    assert file.read_text() == (
        "-- Why this is needed, in a sentence or two.\n"
        "--\n"
        "-- Locks: what it locks against whom, and for how long.\n"
        "\n-- migrate:up\n"
        "\n-- migrate:down\n"
    )
    # Beside one that is not filled in yet, the next can be started.
    assert json.loads(own_shell.done(None, "new", "more", "--product", "lyra", "--json")) == {
        "file": "schema/lyra/migrations/0005_more.sql"
    }


NAMES = {"none": (), "signs": ("add/reactions",), "empty": ("",), "not ASCII": ("größer",)}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_what_is_no_name_writes_nothing(name: tuple[str, ...], own_shell: Shell) -> None:
    """Exit status 1, with an example."""
    folder = own_shell.project.folder / "schema/lyra/migrations"
    before = sorted(folder.iterdir())
    done = own_shell.run(None, "new", *name, "--product", "lyra")
    assert done.returncode == 1
    assert done.stderr.endswith("HINT: chatdb new add_reactions --product lyra\nSTATE: Nothing was written.\n")
    assert sorted(folder.iterdir()) == before


def test_where_nothing_differs_no_draft_is_written(shell: Shell) -> None:
    """`nothing detected`, exit status 0."""
    said = shell.done(None, "new", "--from-schema", "--product", "insights")
    assert said == "no differences: schema/insights/schema.sql is what the migrations make\n"


EDITS = """
CREATE TYPE chat.mood AS ENUM ('good', 'bad');

CREATE TABLE chat.reactions (
    id uuid CONSTRAINT reactions_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id uuid NOT NULL CONSTRAINT reactions_message_id_fkey REFERENCES chat.messages (id) ON DELETE CASCADE,
    mood chat.mood NOT NULL DEFAULT 'good',
    "user" text NOT NULL CONSTRAINT reactions_user_check CHECK ("user" <> 'it''s')
) WITH (fillfactor = 90);
CREATE INDEX reactions_message_id_idx ON chat.reactions (message_id, id DESC);
ALTER TABLE chat.reactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat.reactions FORCE ROW LEVEL SECURITY;
CREATE POLICY reactions_read ON chat.reactions AS RESTRICTIVE FOR SELECT TO fg_user USING ("user" <> '');
COMMENT ON TABLE chat.reactions IS 'Reactions to a message: the user''s own';
COMMENT ON COLUMN chat.reactions."user" IS 'Who';
COMMENT ON CONSTRAINT reactions_pkey ON chat.reactions IS 'key';
COMMENT ON INDEX chat.reactions_message_id_idx IS 'Reactions of a message, newest first';
COMMENT ON POLICY reactions_read ON chat.reactions IS 'Nobody reads what nobody wrote';

ALTER TABLE chat.conversations ADD COLUMN rating bigint,
    ADD CONSTRAINT conversations_rating_check CHECK (rating BETWEEN 1 AND 5);
ALTER TABLE chat.conversations ADD CONSTRAINT conversations_user_id_title_key UNIQUE (user_id, title);
ALTER TABLE chat.conversations ALTER COLUMN title TYPE varchar(300), ALTER COLUMN title SET DEFAULT 'Talk';
ALTER TABLE chat.messages ALTER COLUMN metadata SET NOT NULL;
ALTER TABLE chat.messages DROP CONSTRAINT messages_parent_message_id_fkey;
ALTER TABLE chat.messages ADD CONSTRAINT messages_parent_message_id_fkey
    FOREIGN KEY (parent_message_id) REFERENCES chat.messages (id) ON DELETE CASCADE;
ALTER TABLE chat.messages RESET (autovacuum_vacuum_insert_scale_factor);
DROP INDEX chat.messages_parent_message_id_idx;
CREATE INDEX messages_parent_message_id_idx ON chat.messages (parent_message_id) WHERE parent_message_id IS NOT NULL;
DROP INDEX chat.usage_tracking_model_used_created_at_idx;

CREATE FUNCTION chat.count_messages(conversation uuid) RETURNS bigint
    LANGUAGE sql STABLE SET search_path = ''
    AS $$ SELECT count(*) FROM chat.messages WHERE conversation_id = conversation $$;
COMMENT ON FUNCTION chat.count_messages(uuid) IS 'How long it is';
CREATE OR REPLACE FUNCTION chat.set_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    NEW.updated_at := pg_catalog.clock_timestamp();
    RETURN NEW;
END;
$$;
CREATE VIEW chat.recent WITH (security_invoker = true) AS
    SELECT id, title FROM chat.conversations WHERE updated_at > now() - interval '1 day';
ALTER TRIGGER conversations_set_updated_at ON chat.conversations RENAME TO conversations_touch;
ALTER POLICY messages_own_rows ON chat.messages
    USING (user_id = nullif(current_setting('app.current_user_id', true), '')::uuid);
DROP POLICY usage_tracking_own_rows ON chat.usage_tracking;
CREATE POLICY usage_tracking_own_rows ON chat.usage_tracking FOR SELECT TO fg_user USING (true);
COMMENT ON COLUMN chat.messages.content IS 'The words';
ALTER TABLE chat.messages ADD COLUMN "left" integer, ADD COLUMN "verbose" text,
    ADD COLUMN twice bigint GENERATED ALWAYS AS (1 + 1) VIRTUAL,
    ADD CONSTRAINT messages_one_left EXCLUDE USING btree ("left" WITH =),
    ADD CONSTRAINT messages_verbose_key UNIQUE NULLS NOT DISTINCT ("verbose");
CREATE INDEX "authorization" ON chat.messages ("verbose");
"""


def test_a_draft_makes_all_that_was_declared_and_goes_back(own_shell: Shell) -> None:
    """Of every kind of object; the command itself tries it forth and back and compares the catalogues."""
    schema = schema_of(own_shell, "futureguide")
    schema.write_text(schema.read_text() + EDITS)
    said = json.loads(own_shell.done(None, "new", "rate", "--from-schema", "--product", "futureguide", "--json"))
    assert said.pop("statements") > 30
    assert said == {"file": "schema/futureguide/migrations/0004_rate.sql", "complete": True, "left": []}
    text = (own_shell.project.folder / said["file"]).read_text()
    draft = parse("0003_rate.sql", text)
    assert not draft.transactional
    assert "CREATE INDEX CONCURRENTLY messages_parent_message_id_idx ON chat.messages" in draft.up
    assert "NOT VALID;" in draft.up
    assert "VALIDATE CONSTRAINT conversations_rating_check;" in draft.up
    assert "DROP TABLE chat.reactions;" in draft.down
    assert "-- REVIEW: It reads all rows under the lock." in draft.up
    assert "TODO" not in text
    # Once reviewed, it is what schema.sql says.
    (own_shell.project.folder / said["file"]).write_text(text.replace("-- DRAFT of", "-- Readers rate. From"))
    again = own_shell.done(None, "new", "--from-schema", "--product", "futureguide")
    assert again == "no differences: schema/futureguide/schema.sql is what the migrations make\n"


def test_what_a_draft_cannot_make_is_named_in_it(own_shell: Shell) -> None:
    """A column between others, and a kind of object without words for it: exit status 2, a TODO for each."""
    schema = schema_of(own_shell, "futureguide")
    text = schema.read_text().replace("    context_data jsonb,\n", "    mood text,\n    context_data jsonb,\n")
    schema.write_text(text + "\nCREATE DOMAIN chat.short AS text CHECK (length(value) < 9);\n")
    done = own_shell.run(None, "new", "--from-schema", "--product", "futureguide")
    assert done.returncode == 2
    assert "it is not complete; named in it as TODO:\n" in done.stdout
    draft = (own_shell.project.folder / "schema/futureguide/migrations/0004_follow_schema.sql").read_text()
    assert "ALTER TABLE chat.conversations ADD COLUMN mood text;" in draft
    todo = draft.partition("-- TODO: ")[2].partition("\n\n")[0]
    assert "table chat.conversations: column order is" in todo
    assert "declare them there" in todo
    assert "type chat.short is missing" in todo


def test_a_table_that_product_toml_does_not_list_yet_is_drafted_too(own_shell: Shell) -> None:
    """In `public` as well, where the application's tables are left alone."""
    schema = schema_of(own_shell, "storefront")
    table = "CREATE TABLE public.chat_ratings (id text CONSTRAINT chat_ratings_pkey PRIMARY KEY);"
    schema.write_text(f"{schema.read_text()}\n{table}\n")
    said = own_shell.done(None, "new", "rate", "--from-schema", "--product", "storefront")
    assert "drafted schema/storefront/migrations/0006_rate.sql: 1 statement\n" in said
    assert "a new table is also listed in product.toml" in said
    draft = parse(
        "0006_rate.sql", (own_shell.project.folder / "schema/storefront/migrations/0006_rate.sql").read_text()
    )
    assert draft.transactional
    assert "DROP TABLE public.chat_ratings;" in draft.down


def test_a_schema_that_fails_is_named_with_its_line(own_shell: Shell) -> None:
    """And no draft is written."""
    schema = schema_of(own_shell, "lyra")
    lines = schema.read_text().count("\n")
    schema.write_text(schema.read_text() + "\nCREATE TABEL x ();\n")
    done = own_shell.run(None, "new", "--from-schema", "--product", "lyra")
    assert done.returncode == 1
    assert done.stderr == (
        f"schema/lyra/schema.sql fails at line {lines + 2}\n"
        'DETAIL: syntax error at or near "TABEL"\n'
        "HINT: Mend it, then draft again.\n"
        "STATE: Nothing was written.\n"
    )


def test_a_schema_that_cannot_be_read_is_said(own_shell: Shell) -> None:
    """Another encoding, or none there; a byte order mark is no matter."""
    schema = schema_of(own_shell, "lyra")
    written = schema.read_bytes()
    schema.write_bytes(written + b"-- \xe9\n")
    done = own_shell.run(None, "new", "--from-schema", "--product", "lyra")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "schema/lyra/schema.sql cannot be read")
    assert "can't decode byte 0xe9" in done.stderr
    schema.unlink()
    done = own_shell.run(None, "new", "--from-schema", "--product", "lyra")
    assert (done.returncode, done.stderr.splitlines()[1]) == (1, "DETAIL: No such file or directory")
    schema.write_bytes(b"\xef\xbb\xbf" + written)
    assert own_shell.done(None, "new", "--from-schema", "--product", "lyra").startswith("no differences: ")


def test_a_draft_waits_for_its_review(own_shell: Shell, database: Target) -> None:
    """Written, it is applied nowhere, and nothing applies it while its mark stands."""
    schema = schema_of(own_shell, "lyra")
    schema.write_text(schema.read_text() + "\nALTER TABLE public.chat_messages ADD COLUMN rating bigint;\n")
    own_shell.done(None, "new", "rate", "--from-schema", "--product", "lyra")
    assert own_shell.run(None, "lint", "--product", "lyra").returncode == 1
    done = own_shell.run(database, "apply", "--product", "lyra", "--stand-ins")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        "migration 0004_rate is a draft that nobody has reviewed",
    )
    with connect(database) as connection:
        assert connection.execute("SELECT to_regclass('public.chat_messages')").fetchone() == (None,)
