-- Organisations.
CREATE TABLE tenants (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'suspended')),
  created_at timestamptz NOT NULL
);

-- Who acts; global. Emails and user names are stored in lower case.
CREATE TABLE accounts (
  id uuid PRIMARY KEY,
  email text NOT NULL UNIQUE,
  username text UNIQUE,
  display_name text NOT NULL,
  password_hash text NOT NULL,
  password_changed_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE memberships (
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  account_id uuid NOT NULL REFERENCES accounts (id),
  roles text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz,
  PRIMARY KEY (tenant_id, account_id)
);
-- tenant: memberships
CREATE INDEX memberships_by_account ON memberships (account_id);

-- Signed-in devices. A session is the family of the refresh tokens that follow each other.
CREATE TABLE auth_sessions (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  user_agent text,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  revoked_at timestamptz,
  FOREIGN KEY (tenant_id, account_id) REFERENCES memberships (tenant_id, account_id) ON DELETE CASCADE
);
-- tenant: auth_sessions
CREATE INDEX auth_sessions_by_account ON auth_sessions (account_id);
CREATE INDEX auth_sessions_by_membership ON auth_sessions (tenant_id, account_id);
CREATE INDEX auth_sessions_by_use ON auth_sessions (last_used_at);

-- Refresh tokens as SHA-256. A consumed one names its successor, and keeps what the successor was
-- made with until that has been used (see src/refresh.rs).
CREATE TABLE refresh_tokens (
  hash bytea PRIMARY KEY,
  tenant_id uuid NOT NULL,
  session_id uuid NOT NULL REFERENCES auth_sessions (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  consumed_at timestamptz,
  successor bytea,
  successor_salt bytea
);
-- tenant: refresh_tokens
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_successor ON refresh_tokens (successor);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- The keys access tokens are signed with; one of each purpose is current.
CREATE TABLE signing_keys (
  kid text PRIMARY KEY,
  purpose text NOT NULL,
  seed bytea NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (purpose) WHERE retired_at IS NULL;

-- The global tables: the application role sees its own tenant, the members of that, and no keys;
-- it changes none of them.
-- only: postgres
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON tenants TO tertulia_system USING (true);
CREATE POLICY own_tenant ON tenants FOR SELECT TO tertulia_app
  USING (id = NULLIF(current_setting('tertulia.tenant', true), '')::uuid);
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY every_account ON accounts TO tertulia_system USING (true);
CREATE POLICY own_members ON accounts FOR SELECT TO tertulia_app
  USING (EXISTS (SELECT 1 FROM memberships
    WHERE memberships.account_id = accounts.id
      AND memberships.tenant_id = NULLIF(current_setting('tertulia.tenant', true), '')::uuid));
ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE signing_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY system_only ON signing_keys TO tertulia_system USING (true);
-- both
