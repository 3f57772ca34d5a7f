-- How far the messages of a restored conversation can be searched again: up to this one, from the
-- first prompt downward. None: all of them.
ALTER TABLE conversations ADD COLUMN unindexed_depth bigint;
ALTER TABLE conversations ADD COLUMN unindexed_id uuid;
CREATE INDEX conversations_unindexed ON conversations (id)
  WHERE unindexed_depth IS NOT NULL AND deleted_at IS NULL;

-- All of an account, deleted ones too, in the order in which they began: for its export and its end.
CREATE INDEX conversations_of_account ON conversations (tenant_id, account_id, id);

-- A deletion ends the sharing; before, it only hid it.
-- only: postgres
-- The owner sees rows only while row-level security is not forced.
ALTER TABLE conversations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversation_shares NO FORCE ROW LEVEL SECURITY;
-- both
DELETE FROM conversation_shares WHERE conversation_id IN
  (SELECT id FROM conversations WHERE deleted_at IS NOT NULL);
-- only: postgres
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE conversation_shares FORCE ROW LEVEL SECURITY;
-- both
