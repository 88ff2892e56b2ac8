// A caller who has nothing to do with what others send: it calls at a steady rate, and notes how each call went. On a
// thread of its own, so that it is not held up by who sends the rest.
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

/** A call of the bystander's. */
export interface BystanderCall {
  /** A call that asks for nothing; a query that the assistant knows; one whose text it sees for the first time. */
  readonly kind: "probe" | "known" | "new";
  readonly ms: number;
  readonly failure?: string;
}

const KINDS = ["probe", "known", "probe", "new"] as const;
// Longer than what keeps the parser busy: it isn't let in between for being short.
const FILLER = `/*${"x".repeat(16 * 1024)}*/`;
const INTERVAL_MS = 10;
// Who is answered late doesn't ask for more and more meanwhile.
const MAX_OPEN = 20;

if (parentPort !== null) {
  const port = parentPort;
  const { address, token } = workerData as { readonly address: string; readonly token: string };
  const channel = createChannel({ address, token });
  const client = createClient(DbProxy, channel);
  const calls: BystanderCall[] = [];
  const over = new AbortController();
  let open = 0;
  const call = async (number: number): Promise<void> => {
    const began = performance.now();
    const kind = KINDS[number % KINDS.length] ?? "probe";
    open += 1;
    try {
      if (kind === "probe") await client.probe({});
      else {
        const value = kind === "known" ? "SELECT 1" : `SELECT ${number} ${FILLER}`;
        await client.query({ statement: { case: "sql", value } });
      }
      calls.push({ kind, ms: performance.now() - began });
    } catch (error) {
      calls.push({ kind, ms: performance.now() - began, failure: String(error) });
    } finally {
      open -= 1;
    }
  };
  port.on("message", (what: "take" | "end") => {
    if (what === "end") over.abort();
    else port.postMessage(calls.splice(0));
  });
  port.postMessage("ready");
  for (let number = 0; !over.signal.aborted; number += 1) {
    if (open < MAX_OPEN) void call(number);
    await delay(INTERVAL_MS);
  }
  channel.close();
  port.close();
}
