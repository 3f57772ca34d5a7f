-- Conversations are counted, too: all that an account keeps, deleted ones until they are purged.
-- only: sqlite
ALTER TABLE kept_counts RENAME TO kept_counts_before;
CREATE TABLE kept_counts (
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('assistant', 'prompt', 'conversation')),
  things bigint NOT NULL CHECK (things >= 0),
  PRIMARY KEY (tenant_id, account_id, kind)
);
INSERT INTO kept_counts SELECT tenant_id, account_id, kind, things FROM kept_counts_before;
DROP TABLE kept_counts_before;
-- only: postgres
ALTER TABLE kept_counts DROP CONSTRAINT kept_counts_kind_check;
ALTER TABLE kept_counts ADD CONSTRAINT kept_counts_kind_check
  CHECK (kind IN ('assistant', 'prompt', 'conversation'));
-- The owner sees rows only while row-level security is not forced.
ALTER TABLE conversations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE kept_counts NO FORCE ROW LEVEL SECURITY;
-- both
INSERT INTO kept_counts (tenant_id, account_id, kind, things)
  SELECT tenant_id, account_id, 'conversation', COUNT(*) FROM conversations
  GROUP BY tenant_id, account_id;
-- only: postgres
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE kept_counts FORCE ROW LEVEL SECURITY;
-- both
