import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient } from "@tandem/rpc";
import type { Caller, LoadPlace } from "../row.ts";
import { CALL_TIMEOUT_MS, channelOptions } from "./service-place.ts";

/** A call that does nothing: what a call costs before it does anything. */
export function withProbe(place: LoadPlace): Caller {
  const channel = createChannel(channelOptions(place));
  const client = createClient(DbProxy, channel);
  return {
    call: async () => {
      await client.probe({}, { timeoutMs: CALL_TIMEOUT_MS });
    },
    close: () => channel.close(),
  };
}
