import { type DbProxy as DbProxyService, Role } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, type HandlerContext, type Handlers } from "@tandem/rpc";
import type { DbProxy } from "../db-proxy/db-proxy.ts";
import type { Caller } from "../db-proxy/run-transaction.ts";

/** What a Probe tells of the instance that answers it. */
export interface Instance {
  readonly id: string;
  /** Attached to a server that takes no writes. */
  readonly standby: boolean;
  readonly schemaVersion: string;
}

/** tandem.assistant.v1.DbProxy. What is not there yet says so, as NOT_SUPPORTED. */
export function dbProxyHandlers(dbProxy: DbProxy, instance: () => Instance): Handlers<typeof DbProxyService> {
  return {
    transaction: (request, context) => dbProxy.transaction(request, callerOf(context)),
    query: (request, context) => dbProxy.query(request, callerOf(context)),
    getReceipt: (request, context) => dbProxy.receipt(request, callerOf(context)),
    probe: (_, context) => {
      const { id, schemaVersion, standby } = instance();
      const role = standby ? Role.SECONDARY : Role.PRIMARY;
      const statements = [...dbProxy.statementsOf(callerOf(context).name)];
      return { instanceId: id, schemaVersion, role, statements };
    },
    transactionStream: () => {
      throw new HandlerError({ reason: "NOT_SUPPORTED", message: "The stream is not supported yet." });
    },
  };
}

// A rule that let anyone in would be a slip: whoever is nobody has no policy, and no receipts of its own.
function callerOf({ caller, method, deadline, signal }: HandlerContext): Caller {
  if (caller !== undefined) return { name: caller, deadline, signal };
  throw new HandlerError({ reason: "UNAUTHENTICATED", message: `Nothing says who calls ${method}.` });
}
