import { createDbProxy, sql } from "@tandem/dbproxy";
import type { Caller, LoadPlace } from "../row.ts";
import type { Workload } from "../workloads/workload.ts";
import { CALL_TIMEOUT_MS, channelOptions } from "./service-place.ts";

/** DbProxy.Transaction through @tandem/dbproxy, as a user of it writes it. What fails is not sent again. Without streams each is a call. */
export function withTandem(workload: Workload, { streams = true } = {}) {
  return (place: LoadPlace): Caller => {
    const db = createDbProxy({
      ...channelOptions(place),
      timeoutMs: CALL_TIMEOUT_MS,
      sourceInstanceId: "bench",
      retryLimits: { maxRetries: 0 },
      streams,
    });
    return {
      call: async () => {
        const steps = workload
          .steps(sql)
          .map(({ statement, changes }) =>
            changes === undefined ? statement : { statement, guard: { min: changes, max: changes } },
          );
        await db.transaction(steps);
      },
      close: () => db.close(),
    };
  };
}
