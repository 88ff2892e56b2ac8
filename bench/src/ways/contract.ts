import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient } from "@tandem/rpc";
import type { Caller, LoadPlace } from "../row.ts";
import type { Workload } from "../workloads/workload.ts";
import { CALL_TIMEOUT_MS, channelOptions } from "./service-place.ts";
import { createRequests } from "./transaction-request.ts";

/** DbProxy.Transaction through what is generated of the contract: with a request_id, or without one. */
export function withContract(workload: Workload, options: { readonly requestId: boolean }) {
  return (place: LoadPlace): Caller => {
    const channel = createChannel(channelOptions(place));
    const client = createClient(DbProxy, channel);
    const next = createRequests(workload, options);
    return {
      call: async () => {
        await client.transaction(next(), { timeoutMs: CALL_TIMEOUT_MS });
      },
      close: () => channel.close(),
    };
  };
}
