import { createStatementCheck } from "@tandem/assistant/statement-check";
import type { Caller } from "../row.ts";
import { benchPolicy } from "../service/policy.ts";
import type { Workload } from "../workloads/workload.ts";
import { createTextTag } from "./statement-text.ts";

// There is no database here, and none of the columns has a function's name.
const catalogue = { tables: new Map(), functions: new Set<string>(), rowFunctions: new Set<string>() };

/** What the service does with the texts of a transaction before it runs them, and nothing else. */
export function withStatementCheck(workload: Workload, { policy }: { readonly policy: boolean }) {
  return async (): Promise<Caller> => {
    const check = await createStatementCheck(() => catalogue);
    const rules = {
      use: "step" as const,
      caller: "bench",
      policy: policy ? benchPolicy.callers.get("gateway") : undefined,
    };
    const tag = createTextTag();
    const { signal } = new AbortController();
    return {
      call: async () => {
        for (const { statement } of workload.steps(tag)) await check.check(statement.text, rules, signal);
      },
      close: async () => {
        await check[Symbol.asyncDispose]();
      },
    };
  };
}
