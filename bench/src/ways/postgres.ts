import postgres from "postgres";
import type { Caller, LoadPlace } from "../row.ts";
import { assertGuard } from "./guard.ts";
import type { Workload, WorkValue } from "../workloads/workload.ts";

/** What a user of `postgres` writes: `begin`, and one awaited statement after the other. */
export function withPostgres(workload: Workload) {
  return ({ databaseUrl, connections }: LoadPlace): Caller => {
    const sql = postgres(databaseUrl, { max: connections, onnotice: () => undefined });
    return {
      call: async () => {
        await sql.begin(async (tx) => {
          for (const { statement, changes } of workload.steps(later)) {
            const { count } = await tx(statement.template, ...statement.values.map(String));
            assertGuard(count, changes);
          }
        });
      },
      close: () => sql.end({ timeout: 1 }),
    };
  };
}

interface Later {
  readonly template: TemplateStringsArray;
  readonly values: readonly WorkValue[];
}

// Its own tag would send the statement at once, all of them one behind the other.
function later(template: TemplateStringsArray, ...values: readonly WorkValue[]): Later {
  return { template, values };
}
