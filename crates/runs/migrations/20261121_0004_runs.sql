-- Everything the platform does for someone, with its owner's lease.
CREATE TABLE runs (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  kind text NOT NULL,
  owner_id uuid NOT NULL,
  subject_id uuid,
  state text NOT NULL CHECK (state IN
    ('pending', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  end_reason text,
  epoch bigint NOT NULL CHECK (epoch > 0),
  lease_owner uuid NOT NULL,
  lease_until timestamptz NOT NULL,
  cancel_reason text,
  input jsonb NOT NULL,
  usage jsonb,
  attempts jsonb,
  routing jsonb,
  request_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (end_reason IS NOT NULL))
);
-- tenant: runs
CREATE INDEX runs_alive ON runs (lease_until)
  WHERE state IN ('pending', 'queued', 'running', 'paused');
CREATE INDEX runs_by_owner ON runs (tenant_id, owner_id, created_at);
CREATE INDEX runs_by_subject ON runs (tenant_id, subject_id, created_at);

-- The event log of the runs, in pieces; a line an event (see `log`).
CREATE TABLE run_segments (
  run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  epoch bigint NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  tenant_id uuid NOT NULL,
  payload text NOT NULL,
  PRIMARY KEY (run_id, epoch, first_seq),
  CHECK (last_seq >= first_seq)
);
-- tenant: run_segments
