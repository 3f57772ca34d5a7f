-- Since when a member may not come in.
ALTER TABLE memberships ADD COLUMN suspended_at timestamptz;

-- What accounts are looked for by: email, user name and display name in lower case, a line each.
ALTER TABLE accounts ADD COLUMN sought text NOT NULL DEFAULT '';
-- only: postgres
-- The owner sees rows only while row-level security is not forced.
ALTER TABLE accounts NO FORCE ROW LEVEL SECURITY;
-- both
UPDATE accounts SET sought = LOWER(email || '
' || COALESCE(username, '') || '
' || display_name);
-- only: postgres
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
-- both

-- Accounts that were erased, where they were members: what they left behind is looked for again for
-- some days, because a request of theirs may just have been under way.
CREATE TABLE erasures (
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  erased_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, account_id)
);
-- tenant: erasures
