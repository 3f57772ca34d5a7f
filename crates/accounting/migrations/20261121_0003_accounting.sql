-- Prices of models, for the whole installation; the newest counts, none is ever changed.
CREATE TABLE prices (
  id uuid PRIMARY KEY,
  model_id text NOT NULL,
  input bigint NOT NULL CHECK (input >= 0),
  output bigint NOT NULL CHECK (output >= 0),
  effective_from timestamptz NOT NULL
);
CREATE INDEX prices_by_model ON prices (model_id, effective_from);

-- Who has credits. `balance` is what is available, `held` what open holds reserve.
CREATE TABLE wallets (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  owner_kind text NOT NULL CHECK (owner_kind IN ('account', 'guests')),
  owner_id uuid NOT NULL,
  balance bigint NOT NULL CHECK (balance >= 0),
  held bigint NOT NULL CHECK (held >= 0),
  entries bigint NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (tenant_id, owner_kind, owner_id)
)
-- only: postgres
WITH (fillfactor = 70)
-- both
;
-- tenant: wallets

-- Credits that came in together and expire together. `open` says whether anything is left: the indexes are for those, and
-- do not change when only the number does.
CREATE TABLE lots (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  wallet_id uuid NOT NULL REFERENCES wallets (id),
  initial bigint NOT NULL CHECK (initial > 0),
  remaining bigint NOT NULL CHECK (remaining >= 0 AND remaining <= initial),
  open boolean NOT NULL CHECK (open = (remaining > 0)),
  expires_at timestamptz,
  created_at timestamptz NOT NULL
)
-- only: postgres
WITH (fillfactor = 70)
-- both
;
-- tenant: lots
CREATE INDEX lots_of_wallet ON lots (wallet_id) WHERE open;
CREATE INDEX lots_to_expire ON lots (expires_at) WHERE open AND expires_at IS NOT NULL;

-- What runs reserve. `lots` is [[lot, amount, microseconds of its expiry or null], ...], earliest expiry first.
CREATE TABLE holds (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  wallet_id uuid NOT NULL REFERENCES wallets (id),
  run_id uuid NOT NULL UNIQUE,
  account_id uuid NOT NULL,
  conversation_id uuid,
  model_id text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'settled')),
  amount bigint NOT NULL CHECK (amount >= 0),
  prompt_tokens bigint NOT NULL CHECK (prompt_tokens >= 0),
  output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
  max_tokens bigint,
  price_id uuid NOT NULL,
  input_price bigint NOT NULL,
  output_price bigint NOT NULL,
  lots jsonb NOT NULL,
  charged bigint,
  shortfall bigint,
  balance_after bigint,
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  CHECK ((state = 'settled') = (settled_at IS NOT NULL AND charged IS NOT NULL
    AND shortfall IS NOT NULL AND balance_after IS NOT NULL))
)
-- only: sqlite
WITHOUT ROWID
-- only: postgres
WITH (fillfactor = 80)
-- both
;
-- tenant: holds

-- The ledger: one row is one transfer from one account of the ledger to another, and is never changed. It lies in the
-- order in which it is read; every index here is paid for three times an answer, so there are two.
CREATE TABLE transfers (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  wallet_id uuid NOT NULL REFERENCES wallets (id),
  sequence bigint NOT NULL,
  kind text NOT NULL,
  debit text NOT NULL,
  credit text NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  effect bigint NOT NULL,
  balance_after bigint NOT NULL CHECK (balance_after >= 0),
  run_id uuid,
  hold_id uuid,
  lot_id uuid,
  note text,
  idempotency_key text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (wallet_id, sequence),
  UNIQUE (tenant_id, idempotency_key),
  CHECK (
    (kind = 'allocate' AND debit = 'issuance' AND credit = 'available' AND effect = amount)
    OR (kind IN ('hold', 'extend') AND debit = 'available' AND credit = 'held' AND effect = -amount)
    OR (kind = 'release' AND debit = 'held' AND credit = 'available' AND effect = amount)
    OR (kind IN ('settle', 'record') AND debit = 'available' AND credit = 'consumption' AND effect = -amount)
    OR (kind = 'expire' AND debit = 'available' AND credit = 'issuance' AND effect = -amount)
  )
)
-- only: sqlite
WITHOUT ROWID
-- both
;
-- tenant: transfers

-- only: sqlite
CREATE TRIGGER transfers_never_change BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is never changed'); END;
CREATE TRIGGER transfers_never_vanish BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is never changed'); END;
-- only: postgres
CREATE FUNCTION ledger_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is never changed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER transfers_never_change BEFORE UPDATE OR DELETE ON transfers
  FOR EACH ROW EXECUTE FUNCTION ledger_never_changes();
CREATE TRIGGER transfers_never_vanish BEFORE TRUNCATE ON transfers
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_never_changes();
-- both

-- What models were used for, by whom, and what it cost. `day` counts from 1970-01-01 (UTC).
CREATE TABLE usage_records (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  run_id uuid,
  conversation_id uuid,
  model_id text NOT NULL,
  prompt_tokens bigint NOT NULL CHECK (prompt_tokens >= 0),
  completion_tokens bigint NOT NULL CHECK (completion_tokens >= 0),
  credits bigint NOT NULL CHECK (credits >= 0),
  shortfall bigint NOT NULL CHECK (shortfall >= 0),
  metadata jsonb NOT NULL,
  day bigint NOT NULL,
  created_at timestamptz NOT NULL
)
-- only: sqlite
WITHOUT ROWID
-- both
;
-- tenant: usage_records
CREATE INDEX usage_of_account ON usage_records (tenant_id, account_id, created_at);
