-- Threads. `head` is the leaf of the branch that is shown.
CREATE TABLE conversations (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  title text NOT NULL,
  title_source text NOT NULL CHECK (title_source IN ('none', 'heuristic', 'model', 'person')),
  model_id text NOT NULL,
  system_prompt text,
  status text NOT NULL CHECK (status IN ('active', 'closed')),
  pinned boolean NOT NULL,
  archived boolean NOT NULL,
  head uuid,
  version bigint NOT NULL,
  active_run uuid,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz
);
-- tenant: conversations
CREATE INDEX conversations_listed ON conversations
  (tenant_id, account_id, archived, pinned, updated_at, id) WHERE deleted_at IS NULL;

-- How many conversations an account has, so that a list need not count them.
CREATE TABLE conversation_counts (
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  archived boolean NOT NULL,
  pinned boolean NOT NULL,
  conversations bigint NOT NULL,
  PRIMARY KEY (tenant_id, account_id, archived, pinned)
);
-- tenant: conversation_counts

-- Messages, append-only: an edit or a regeneration is a sibling.
CREATE TABLE messages (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  parent_id uuid REFERENCES messages (id),
  depth bigint NOT NULL,
  role text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
  content text NOT NULL,
  status text NOT NULL CHECK (status IN ('complete', 'stopped', 'interrupted', 'error')),
  end_reason text,
  run_id uuid,
  model_id text,
  usage jsonb,
  credits bigint,
  created_at timestamptz NOT NULL
);
-- tenant: messages
CREATE INDEX messages_by_depth ON messages (conversation_id, depth, parent_id, id);
-- only: sqlite
CREATE TRIGGER messages_stay BEFORE UPDATE ON messages
  BEGIN SELECT RAISE(ABORT, 'messages are append-only'); END;
-- only: postgres
CREATE FUNCTION messages_stay() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'messages are append-only'; END $$;
CREATE TRIGGER messages_stay BEFORE UPDATE ON messages
  FOR EACH ROW EXECUTE FUNCTION messages_stay();
-- both

-- What can be searched: titles (without a message) and messages, newest last.
CREATE TABLE conversation_texts (
-- only: sqlite
  position INTEGER PRIMARY KEY,
-- only: postgres
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  words tsvector NOT NULL,
-- both
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  message_id uuid
);
-- tenant: conversation_texts
CREATE INDEX conversation_texts_by_conversation ON conversation_texts (conversation_id, message_id);
-- only: sqlite
CREATE VIRTUAL TABLE conversation_words USING fts5(owner, words, content='', contentless_delete=1,
  detail=column, tokenize=ascii);
-- only: postgres
-- A short list of what is not yet sorted in, because each search reads all of it.
CREATE INDEX conversation_texts_by_word ON conversation_texts USING gin (words)
  WITH (gin_pending_list_limit = 256);
-- Behind row-level security no full-text index can be used, because the operator @@ is not
-- leakproof. So the search is a function of the owner, who is exempt here, and that function
-- takes the tenant from the session, as the policy does.
ALTER TABLE conversation_texts NO FORCE ROW LEVEL SECURITY;
CREATE FUNCTION search_conversation_texts(account uuid, wanted text, most bigint)
RETURNS TABLE (hit_position bigint, hit_conversation uuid, hit_message uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off AS $$
BEGIN
  -- Planned anew each time: rare words go by the index of words (each text also has its owner's
  -- word), very frequent ones from the newest text backwards.
  RETURN QUERY EXECUTE
    'SELECT position, conversation_id, message_id FROM conversation_texts
     WHERE tenant_id = $1 AND account_id = $2 AND words @@ $3 ORDER BY position DESC LIMIT $4'
    USING NULLIF(current_setting('tertulia.tenant', true), '')::uuid, account,
          wanted::tsquery, most;
END $$;
-- both
