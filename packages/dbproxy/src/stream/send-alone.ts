import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { callEncoded, type Channel } from "@tandem/rpc";
import { inLightOf } from "../outcomes.ts";
import type { TransactionEncoder } from "../wire/encode-transaction.ts";
import type { SendTransaction } from "./transaction-streams.ts";

/** Sends each transaction as a call by itself. */
export function sendingAlone(channel: Channel, encoder: TransactionEncoder): SendTransaction {
  return async (request, options) => {
    try {
      const encode = (): Uint8Array => encoder.encode(request);
      return await callEncoded(channel, DbProxy.method.transaction, encode, options);
    } catch (error) {
      throw inLightOf(request.attempt, error);
    }
  };
}
