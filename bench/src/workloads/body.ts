import { randomBytes } from "node:crypto";
import { pick, type Tag, type Workload, type WorkStep } from "./workload.ts";

const ROWS = 200;
const TEXTS = 16;

/** Writes a row that holds a text of so many bytes, and reads another one. */
export function body(bytes: number): Workload {
  // PostgreSQL compresses what it can: this it can't.
  const makeText = (): string => randomBytes(bytes).toString("base64").slice(0, bytes);
  let texts: readonly string[] | undefined;
  return {
    define: [
      `CREATE TABLE IF NOT EXISTS bodies (id int8 PRIMARY KEY, body text NOT NULL)`,
      // Rows that nobody has written yet are as large as those that somebody has.
      `INSERT INTO bodies SELECT ${bytes * 1_000} + id,
        (SELECT left(string_agg(md5(random()::text || part), ''), ${bytes}) FROM generate_series(1, ${Math.ceil(bytes / 32)}) AS part)
        FROM generate_series(1, ${ROWS}) AS id ON CONFLICT DO NOTHING`,
    ],
    steps<S>(sql: Tag<S>): readonly WorkStep<S>[] {
      texts ??= Array.from({ length: TEXTS }, makeText);
      const text = texts[Number(pick(TEXTS)) - 1] ?? "";
      const id = (): bigint => BigInt(bytes * 1_000) + pick(ROWS);
      return [
        {
          statement: sql`INSERT INTO bodies (id, body) VALUES (${id()}, ${text})
            ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body`,
        },
        { statement: sql`SELECT body FROM bodies WHERE id = ${id()}`, changes: 1 },
      ];
    },
  };
}
