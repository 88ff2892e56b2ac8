import type { Database } from "../create-database.ts";
import type { Transaction } from "../transaction.ts";
import { exactlyOnce } from "./exactly-once.ts";
import { insertCommitted, receiptFailure, type TextRows } from "./receipt.ts";
import { createReceipts, type Patience, type Receipts } from "./receipts.ts";
import type { RequestIdentity } from "./request-identity.ts";

/** The receipts of a service's own store. Whoever must settle one waits no longer than `timeoutMs`. */
export function createStoreReceipts(
  database: Database,
  { timeoutMs }: { readonly timeoutMs: number },
): Receipts {
  const run = async ({
    text,
    values,
  }: {
    readonly text: string;
    readonly values: readonly (string | null)[];
  }) => {
    const rows: unknown = await database.run({ text, values, rowsAsArrays: true });
    return rows as TextRows;
  };
  return createReceipts({ timeoutMs, run });
}

/**
 * Applies a service's own write once: `body` runs in a transaction and gives the response, which is committed with
 * its receipt; every other copy of the request gets that response. Fails as `exactlyOnce` does; what the body
 * throws of its own must be a HandlerError.
 */
export function applyOnce(
  database: Database,
  write: { readonly identity: RequestIdentity; readonly patience: Patience; readonly receipts: Receipts },
  body: (transaction: Transaction) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { identity, patience, receipts } = write;
  const apply = (): Promise<Uint8Array> =>
    database.transaction(
      async (transaction) => {
        const response = await body(transaction);
        await transaction.run(insertCommitted(identity, response)).catch((error: unknown) => {
          throw receiptFailure(error);
        });
        return response;
      },
      { signal: patience.signal },
    );
  return exactlyOnce({ ...patience, identity, apply, replay: async (response) => response }, receipts);
}
