CREATE TABLE orders (
  id uuid PRIMARY KEY,
  version bigint NOT NULL DEFAULT 1,
  updated_at timestamp(6) with time zone NOT NULL DEFAULT now(),
  customer text NOT NULL
);
CREATE TABLE order_lines (
  id uuid PRIMARY KEY,
  version bigint NOT NULL DEFAULT 1,
  updated_at timestamp(6) with time zone NOT NULL DEFAULT now(),
  order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
  article text NOT NULL
);
-- This database is the shop's, and the shop decides. In the other one it is ('warehouse', 'shop').
INSERT INTO tandem.authority (side, authority) VALUES ('shop', 'shop');
SELECT tandem.mirror_table('order', 'orders', 'order_lines');
GRANT UPDATE, DELETE ON tandem.outbox TO shop_app;
GRANT DELETE ON tandem.tombstones TO shop_app;
GRANT EXECUTE ON FUNCTION tandem.read_authority, tandem.backlog TO shop_app;
