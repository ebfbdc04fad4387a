-- What the shop holds before the night: the same rows in every world.

INSERT INTO customers (email, name, joined_at)
SELECT format('customer%s@mail.example', n), format('Customer %s', n), timestamptz '2021-01-01 00:00Z' + n * interval '17 hours'
FROM generate_series(1, 2000) n;

INSERT INTO products (sku, title, price, stock, tags, details)
SELECT format('ACME-%s', lpad(n::text, 4, '0')), format('Anvil no. %s', n), (n * 37 % 20000) / 100.0 + 0.99, 100000,
       ARRAY[format('range-%s', n % 7), CASE WHEN n % 5 = 0 THEN 'new' ELSE 'classic' END],
       CASE WHEN n % 3 > 0 THEN jsonb_build_object('weight_kg', n % 40, 'finish', CASE WHEN n % 2 = 0 THEN 'matt' ELSE 'polished' END) END
FROM generate_series(1, 300) n;

INSERT INTO orders (customer_id, state, total, placed_at, note)
SELECT n * 7919 % 2000 + 1, (ARRAY['paid', 'sent', 'sent', 'returned'])[n % 4 + 1]::order_state, (n * 331 % 90000) / 100.0 + 5,
       timestamptz '2026-01-01 00:00Z' + n * interval '61 minutes', CASE WHEN n % 11 = 0 THEN 'leave it at the gate – “Ünwin”' END
FROM generate_series(1, 5000) n;

INSERT INTO order_items (order_id, product_id, quantity, price)
SELECT o, (o * 13 + k * 101) % 300 + 1, k + 1, (o * 37 % 20000) / 100.0 + 0.99
FROM generate_series(1, 5000) o, generate_series(0, 1) k;

INSERT INTO page_views (at, path, visitor)
SELECT timestamptz '2026-12-01 00:00Z' + n * interval '41 seconds', format('/products/%s', n % 300 + 1),
       CASE WHEN n % 4 > 0 THEN md5(n::text)::uuid END
FROM generate_series(1, 3000) n;

ANALYZE;
