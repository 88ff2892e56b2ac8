import { pick, type Tag, type Workload, type WorkStep } from "./workload.ts";

const ROWS = 100_000;

/** As many UPDATEs of a row each: what a step more costs. */
export function steps(count: number): Workload {
  const lines = Array.from(
    { length: count },
    (_, index) => `UPDATE steps_items SET n = n + 1 WHERE id = :first + ${index};`,
  );
  return {
    define: [
      `CREATE TABLE IF NOT EXISTS steps_items (id int8 PRIMARY KEY, n int8 NOT NULL)`,
      `INSERT INTO steps_items SELECT id, 0 FROM generate_series(1, ${ROWS}) AS id ON CONFLICT DO NOTHING`,
    ],
    steps<S>(sql: Tag<S>): readonly WorkStep<S>[] {
      // One after the other: two transactions that meet wait for each other, and never in a circle.
      const first = pick(ROWS - count);
      return Array.from({ length: count }, (_, index) => ({
        statement: sql`UPDATE steps_items SET n = n + 1 WHERE id = ${first + BigInt(index)}`,
        changes: 1,
      }));
    },
    pgbenchScript: `\\set first random(1, ${ROWS - count})\nBEGIN;\n${lines.join("\n")}\nEND;\n`,
  };
}
