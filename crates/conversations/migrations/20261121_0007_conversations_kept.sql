-- Deleted conversations until their text is purged.
CREATE INDEX conversations_deleted ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;
-- Removing a message looks for those below it.
CREATE INDEX messages_by_parent ON messages (parent_id);

-- What a conversation began with; the assistant itself may be gone.
ALTER TABLE conversations ADD COLUMN assistant_id uuid;

-- Branches that anybody who knows the token can read, up to `head`. The token is kept as it is
-- (docs/decisions/0008-share-links.md).
CREATE TABLE conversation_shares (
  token bytea PRIMARY KEY,
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL UNIQUE REFERENCES conversations (id),
  head uuid,
  created_at timestamptz NOT NULL,
  shared_at timestamptz NOT NULL
);
-- tenant: conversation_shares

-- A model and its instructions, kept to begin conversations with.
CREATE TABLE assistants (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  name text NOT NULL,
  description text,
  model_id text NOT NULL,
  system_prompt text NOT NULL,
  questions jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
-- tenant: assistants
CREATE INDEX assistants_of_account ON assistants (tenant_id, account_id, id);

-- Texts that are kept to be sent again, each under a command.
CREATE TABLE saved_prompts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  command text NOT NULL,
  title text NOT NULL,
  content text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (tenant_id, account_id, command)
);
-- tenant: saved_prompts

-- How many of these an account has; its row is the lock under which the limit holds.
CREATE TABLE kept_counts (
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('assistant', 'prompt')),
  things bigint NOT NULL CHECK (things >= 0),
  PRIMARY KEY (tenant_id, account_id, kind)
);
-- tenant: kept_counts
