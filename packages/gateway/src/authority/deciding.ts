import { type Database, readAuthority } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import type { Decider, Side } from "./decider.ts";

/** Sends work to whichever side decides. */
export interface Deciding {
  /** Who decides, as far as is known: it may have moved within the last second. */
  side(): Promise<Side>;
  /**
   * Does work with the one that decides. While the authority moves the work is refused with NOT_AUTHORITATIVE, having
   * had no effect, and is done again when it has, within the time that there is.
   */
  decide<T>(
    work: (decider: Decider) => Promise<T>,
    patience: { readonly deadline: Date | undefined; readonly signal: AbortSignal },
  ): Promise<T>;
}

// How long what was read is believed. A write on the wrong side is refused by that side; a read there is as old at most.
const BELIEVED_MS = 1_000;
// How often it is looked at while it moves.
const POLL_MS = 10;

export function createDeciding(options: {
  readonly database: Pick<Database, "sql">;
  readonly own: Decider;
  readonly assistant: Decider;
}): Deciding {
  const { database, own, assistant } = options;
  let known: { readonly side: Promise<Side>; readonly at: number } | undefined;
  const look = (): Promise<Side> => {
    const side = readAuthority(database).then(({ authority }): Side =>
      authority === "gateway" ? "gateway" : "assistant",
    );
    known = { side, at: performance.now() };
    side.catch(() => (known = undefined));
    return side;
  };
  const side = (): Promise<Side> =>
    known !== undefined && performance.now() - known.at < BELIEVED_MS ? known.side : look();
  return {
    side,
    decide: async (work, { deadline, signal }) => {
      for (;;) {
        const tried = await side();
        try {
          return await work(tried === "gateway" ? own : assistant);
        } catch (error) {
          if (!(error instanceof HandlerError) || error.reason !== "NOT_AUTHORITATIVE") throw error;
          if (signal.aborted || Date.now() >= (deadline?.getTime() ?? Infinity)) throw error;
        }
        await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
        await settled(database, { deadline, signal });
        await look();
      }
    },
  };
}

/** Waits, no longer than there is time, until nothing is moving. */
async function settled(
  database: Pick<Database, "sql">,
  { deadline, signal }: { readonly deadline: Date | undefined; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted && Date.now() < (deadline?.getTime() ?? Infinity)) {
    if ((await readAuthority(database)).phase === "settled") return;
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}
