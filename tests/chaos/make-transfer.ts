import { type DbProxy, requestIdOf } from "@tandem/dbproxy";
import type { Transfer } from "./bank.ts";
import { pauseAfter, toldBy } from "./told.ts";

// Some callers wait long enough to see most faults pass, others hardly ever.
const IMPATIENT_MS = { min: 100, max: 1_000 };
const PATIENT_MS = 5_000;

/** One call of a caller's, however often the client sent it. */
export interface Call {
  readonly from: Date;
  readonly until: Date;
  /** By how much it missed its deadline; below 0 where it was in time. */
  readonly lateMs: number;
  readonly told: string;
}

/** A transfer, and what its caller knows of it. */
export interface TransferRecord {
  readonly transfer: Transfer;
  readonly calls: readonly Call[];
  readonly end: "acknowledged" | "denied" | "unknown";
  /** What to ask for the receipt by. Only of an unknown end. */
  readonly requestId?: string;
}

/** Makes a transfer. A caller who is told nothing of its end sometimes sends it again, under the same request_id. */
export async function makeTransfer(
  db: DbProxy,
  { transfer, random }: { readonly transfer: Transfer; readonly random: () => number },
): Promise<TransferRecord> {
  const calls: Call[] = [];
  let { requestId } = transfer;
  do {
    const { min, max } = IMPATIENT_MS;
    const timeoutMs = random() < 0.4 ? min + random() * (max - min) : PATIENT_MS;
    const { call, error } = await send(db, transfer, {
      timeoutMs,
      ...(requestId !== undefined && { requestId }),
    });
    calls.push(call);
    if (error === undefined) return { transfer, calls, end: "acknowledged" };
    await pauseAfter(error);
    if (toldBy(error) === "denied") return { transfer, calls, end: "denied" };
    requestId = requestIdOf(error);
    if (requestId === undefined) throw new Error("An unknown outcome without an id.", { cause: error });
  } while (random() < 0.5);
  return { transfer, calls, end: "unknown", requestId };
}

async function send(
  db: DbProxy,
  { steps }: Transfer,
  options: { readonly timeoutMs: number; readonly requestId?: string },
): Promise<{ readonly call: Call; readonly error?: unknown }> {
  const from = new Date();
  const started = performance.now();
  const end = (told: string): Call => {
    const lateMs = performance.now() - started - options.timeoutMs;
    return { from, until: new Date(), lateMs, told };
  };
  try {
    const { replayed } = await db.transaction(steps, options);
    return { call: end(replayed ? "committed, by an earlier send" : "committed") };
  } catch (error) {
    return { call: end(String(error)), error };
  }
}
