-- How far each subscriber has read, and which process runs it.
CREATE TABLE bus_cursors (
  subscriber text PRIMARY KEY,
  low bigint NOT NULL,
  high bigint NOT NULL,
  position bigint NOT NULL,
  lease_owner uuid NOT NULL,
  lease_until timestamptz NOT NULL
);

-- Events that a subscriber could not take, whole, so that they outlive the outbox.
CREATE TABLE bus_dead_letters (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  subscriber text NOT NULL,
  event_id uuid NOT NULL,
  event jsonb NOT NULL,
  error text NOT NULL,
  attempts bigint NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (subscriber, event_id)
);
-- tenant: bus_dead_letters
