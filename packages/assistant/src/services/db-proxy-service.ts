import { type DbProxy as DbProxyService, Role } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  type EncodedMessage,
  HandlerError,
  type HandlerContext,
  type Handlers,
  type ReadingHandler,
} from "@tandem/rpc";
import type { DbProxy } from "../db-proxy/db-proxy.ts";
import type { Caller } from "../db-proxy/run-transaction.ts";
import type { GivenQuery, GivenTransaction } from "../db-proxy/wire/given.ts";
import { readingQuery } from "../db-proxy/wire/read-query.ts";
import { readingTransaction } from "../db-proxy/wire/read-transaction.ts";
import { transactionStream } from "../db-proxy/stream/transaction-stream.ts";

/** What a Probe tells of the instance that answers it. */
export interface Instance {
  readonly id: string;
  /** Attached to a server that takes no writes. */
  readonly standby: boolean;
  readonly schemaVersion: string;
}

/** tandem.assistant.v1.DbProxy. */
export function dbProxyHandlers(dbProxy: DbProxy, instance: () => Instance): Handlers<typeof DbProxyService> {
  const transaction: ReadingHandler<GivenTransaction, EncodedMessage> = {
    read: readingTransaction,
    handle: (request, context) => dbProxy.transaction(request, callerOf(context)),
  };
  const query: ReadingHandler<GivenQuery, EncodedMessage> = {
    read: readingQuery,
    handle: (request, context) => dbProxy.query(request, callerOf(context)),
  };
  return {
    transaction,
    transactionStream: transactionStream(transaction, dbProxy.limits),
    query,
    getReceipt: (request, context) => dbProxy.receipt(request, callerOf(context)),
    probe: (_, context) => {
      const { id, schemaVersion, standby } = instance();
      const role = standby ? Role.SECONDARY : Role.PRIMARY;
      const statements = [...dbProxy.statementsOf(callerOf(context).name)];
      return { instanceId: id, schemaVersion, role, statements };
    },
  };
}

// A rule that let anyone in would be a slip: whoever is nobody has no policy, and no receipts of its own.
function callerOf({ caller, method, deadline, signal }: HandlerContext): Caller {
  if (caller !== undefined) return { name: caller, deadline, signal };
  throw new HandlerError({ reason: "UNAUTHENTICATED", message: `Nothing says who calls ${method}.` });
}
