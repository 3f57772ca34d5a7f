-- The account that the stored answer is about, where that is not the key's holder: '' for none.
ALTER TABLE idempotency_keys ADD COLUMN account text NOT NULL DEFAULT '';
CREATE INDEX idempotency_keys_by_account ON idempotency_keys (tenant_id, account);
