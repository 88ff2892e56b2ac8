import { type DbProxy as DbProxyService, Role } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, type Handlers } from "@tandem/rpc";
import type { DbProxy } from "../db-proxy/db-proxy.ts";

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
    transaction: (request, context) => dbProxy.transaction(request, context),
    query: (request, context) => dbProxy.query(request, context),
    probe: () => {
      const { id, schemaVersion, standby } = instance();
      return { instanceId: id, schemaVersion, role: standby ? Role.SECONDARY : Role.PRIMARY };
    },
    getReceipt: () => {
      throw notYet("Receipts are");
    },
    transactionStream: () => {
      throw notYet("The stream is");
    },
  };
}

function notYet(what: string): HandlerError {
  return new HandlerError({ reason: "NOT_SUPPORTED", message: `${what} not supported yet.` });
}
