import { pick, type Tag, type Workload, type WorkStep } from "./workload.ts";

const ROWS = 10_000;

/** What the gateway does most: a guarded UPDATE, and an upsert beside it. */
export const pair: Workload = {
  define: [
    `CREATE TABLE IF NOT EXISTS pair_invites (id int8 PRIMARY KEY, status text NOT NULL, version int8 NOT NULL)`,
    `CREATE TABLE IF NOT EXISTS pair_channels (invite_id int8 PRIMARY KEY, address text NOT NULL, version int8 NOT NULL DEFAULT 1)`,
    `INSERT INTO pair_invites SELECT id, 'pending', 1 FROM generate_series(1, ${ROWS}) AS id ON CONFLICT DO NOTHING`,
    `INSERT INTO pair_channels SELECT id, 'mail-' || id || '@example.org' FROM generate_series(1, ${ROWS}) AS id ON CONFLICT DO NOTHING`,
  ],
  steps<S>(sql: Tag<S>): readonly WorkStep<S>[] {
    const id = pick(ROWS);
    return [
      {
        statement: sql`UPDATE pair_invites SET status = ${"active"}, version = version + 1
          WHERE id = ${id} AND status <> ${"blocked"}`,
        changes: 1,
      },
      {
        statement: sql`INSERT INTO pair_channels (invite_id, address) VALUES (${id}, ${`mail-${id}@example.org`})
          ON CONFLICT (invite_id) DO UPDATE SET address = EXCLUDED.address, version = pair_channels.version + 1`,
      },
    ];
  },
  pgbenchScript: `\\set id random(1, ${ROWS})
BEGIN;
UPDATE pair_invites SET status = 'active', version = version + 1 WHERE id = :id AND status <> 'blocked';
INSERT INTO pair_channels (invite_id, address) VALUES (:id, 'mail-' || :id || '@example.org')
ON CONFLICT (invite_id) DO UPDATE SET address = EXCLUDED.address, version = pair_channels.version + 1;
END;
`,
};
