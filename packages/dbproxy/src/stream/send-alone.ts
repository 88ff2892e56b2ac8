import type { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Client } from "@tandem/rpc";
import { inLightOf } from "../outcomes.ts";
import type { SendTransaction } from "./transaction-streams.ts";

/** Sends each transaction as a call by itself. */
export function sendingAlone(client: Client<typeof DbProxy>): SendTransaction {
  return async (request, options) => {
    try {
      return await client.transaction(request, options);
    } catch (error) {
      throw inLightOf(request.attempt ?? 0, error);
    }
  };
}
