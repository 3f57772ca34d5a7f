-- The history also tells that a model has had no price since: such a row repeats the last amounts, which count no more.
ALTER TABLE prices ADD COLUMN ended boolean NOT NULL DEFAULT false;
