-- Events on their way out, and the sequence of each key.
CREATE TABLE outbox_keys (
  tenant_id uuid NOT NULL,
  event_key text NOT NULL,
  sequence bigint NOT NULL,
-- only: postgres
  -- The youngest transaction that has written to the key.
  transaction_id bigint NOT NULL,
-- both
  PRIMARY KEY (tenant_id, event_key)
);
-- tenant: outbox_keys

CREATE TABLE outbox (
-- only: sqlite
  position INTEGER PRIMARY KEY AUTOINCREMENT,
-- only: postgres
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transaction_id bigint NOT NULL,
-- both
  id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  topic text NOT NULL,
  kind text NOT NULL,
  version bigint NOT NULL,
  event_key text NOT NULL,
  sequence bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  trace uuid NOT NULL,
  payload jsonb NOT NULL
);
-- tenant: outbox
-- only: postgres
CREATE INDEX outbox_by_transaction ON outbox (transaction_id, position);
-- both
CREATE INDEX outbox_by_time ON outbox (occurred_at);

-- Answers to requests that carried an Idempotency-Key, for 24 hours.
CREATE TABLE idempotency_keys (
  tenant_id uuid NOT NULL,
  holder text NOT NULL,
  idempotency_key text NOT NULL,
  fingerprint bytea NOT NULL,
  answer text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, holder, idempotency_key)
);
-- tenant: idempotency_keys
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
