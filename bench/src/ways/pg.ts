import { Pool, type PoolClient } from "pg";
import type { Caller, LoadPlace } from "../row.ts";
import type { Workload } from "../workloads/workload.ts";
import { assertGuard } from "./guard.ts";
import { createTextTag } from "./statement-text.ts";

/** What a user of `pg` writes: a client of a pool, BEGIN, awaited statements, COMMIT. */
export function withPg(workload: Workload) {
  return ({ databaseUrl, connections }: LoadPlace): Caller => {
    const pool = new Pool({ connectionString: databaseUrl, max: connections });
    const tag = createTextTag();
    const run = async (client: PoolClient): Promise<void> => {
      await client.query("BEGIN");
      for (const { statement, changes } of workload.steps(tag)) {
        const { rowCount } = await client.query(statement.text, statement.values.map(String));
        assertGuard(rowCount, changes);
      }
      await client.query("COMMIT");
    };
    return {
      call: async () => {
        const client = await pool.connect();
        try {
          await run(client);
          client.release();
        } catch (error) {
          client.release(true);
          throw error;
        }
      },
      close: () => pool.end(),
    };
  };
}
