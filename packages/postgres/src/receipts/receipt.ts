import { HandlerError } from "@tandem/rpc";
import { recogniseError } from "../foreign-error.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import type { RequestIdentity } from "./request-identity.ts";

/** What a request_id was settled as. It is never changed. */
export type Receipt =
  | { readonly state: "committed"; readonly fingerprint: Uint8Array; readonly response: Uint8Array }
  /** No copy of it is committed or ever will be. */
  | { readonly state: "refused" };

/** Whose request, and which. */
export type RequestKey = Pick<RequestIdentity, "caller" | "requestId">;

/** A statement whose values and results are PostgreSQL's text, so that every driver can run it alike. */
export interface TextStatement {
  readonly text: string;
  readonly values: readonly (string | null)[];
}

/** The rows of a TextStatement. */
export type TextRows = readonly (readonly (string | null)[])[];

/**
 * To be run as the last statement of the request's transaction, in one flush with its COMMIT: where a receipt
 * stands already, the COMMIT behind it is not executed. A plain INSERT, so that it waits for a copy in flight.
 */
export function insertCommitted(identity: RequestIdentity, response: Uint8Array): TextStatement {
  const { requestId, caller, fingerprint, sourceInstanceId, requestedAt } = identity;
  return {
    text: `INSERT INTO tandem.receipts
             (request_id, caller, state, fingerprint, response, source_instance_id, requested_at)
           VALUES ($1::uuid, $2::text, 'committed', decode($3, 'base64'), decode($4, 'base64'), $5::text, $6::timestamptz)`,
    values: [
      requestId,
      caller,
      toBase64(fingerprint),
      toBase64(response),
      sourceInstanceId,
      requestedAt.toISOString(),
    ],
  };
}

/** To be run on its own: waits for a copy in flight, and stands in the way of every later one. */
export function insertRefused({ requestId, caller }: RequestKey): TextStatement {
  return {
    text: "INSERT INTO tandem.receipts (request_id, caller, state) VALUES ($1::uuid, $2::text, 'refused')",
    values: [requestId, caller],
  };
}

export function selectReceipt({ requestId, caller }: RequestKey): TextStatement {
  return {
    // What is visible here may still wait for a synchronous standby: a commit of our own behind it waits as well.
    text: `SELECT state, encode(fingerprint, 'base64'), encode(response, 'base64'),
             CASE WHEN NOT pg_is_in_recovery() THEN pg_logical_emit_message(true, 'tandem', '') END
           FROM tandem.receipts WHERE request_id = $1::uuid AND caller = $2::text`,
    values: [requestId, caller],
  };
}

/** What `selectReceipt` found. */
export function toReceipt(rows: TextRows): Receipt | undefined {
  const [state, fingerprint, response] = rows[0] ?? [];
  if (state === undefined) return undefined;
  if (state === "refused") return { state };
  return { state: "committed", fingerprint: fromBase64(fingerprint), response: fromBase64(response) };
}

function toBase64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

function fromBase64(text: string | null | undefined): Uint8Array {
  return Buffer.from(text ?? "", "base64");
}

/** The receipt's INSERT met a receipt: another copy of the request is settled, this one is rolled back. */
export class SettledError extends Error {
  override readonly name = "SettledError";
}

/**
 * What the failure of a receipt's own INSERT means: a SettledError, or a HandlerError. Of the transaction that it
 * was to end nothing is committed; of other copies that says nothing. `during`: whether a connection that was lost
 * may have carried the COMMIT.
 */
export function receiptFailure(
  error: unknown,
  during: "transaction" | "commit" = "commit",
): HandlerError | SettledError {
  switch (receiptObstacle(error)) {
    case "settled":
      return new SettledError();
    case "in flight":
      return requestInProgress(error);
    case "no partition": {
      const message = "There is no place for receipts of this time yet: try again soon.";
      return new HandlerError({ reason: "NOT_READY", message, cause: error });
    }
    case undefined:
      return translateDatabaseError(error, { during });
  }
}

/** A copy of the request that is still running: only a later send can tell what became of it. */
export function requestInProgress(cause?: unknown): HandlerError {
  const message = "A copy of this request is still running: send it again with the same request_id.";
  return new HandlerError({ reason: "REQUEST_IN_PROGRESS", message, cause });
}

/**
 * What kept a receipt out, if its INSERT failed with this error: another receipt of the same request stands;
 * a copy that holds its place was waited for in vain; or the partition for its time is missing.
 */
function receiptObstacle(error: unknown): "settled" | "in flight" | "no partition" | undefined {
  const found = recogniseError(error);
  if (found?.kind !== "server") return undefined;
  const { sqlstate, schema, table = "" } = found;
  const ours = schema === "tandem" && table.startsWith("receipts");
  if (sqlstate === "23505" && ours) return "settled";
  if (sqlstate === "23514" && ours) return "no partition";
  // It has nothing else to wait for: whichever timeout ends its wait.
  return sqlstate === "55P03" || sqlstate === "57014" ? "in flight" : undefined;
}
