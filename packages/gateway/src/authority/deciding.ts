import { type Database, readAuthority, type Sql } from "@tandem/postgres";
import { HandlerError, unlessAborted } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { translatedSql } from "../store/translated-sql.ts";
import type { Decider, Side } from "./decider.ts";

/** Sends work to whichever side decides. It fails with a HandlerError where it can't be found out which. */
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
const MAX_WATCH_MS = 5_000;

export function createDeciding(options: {
  readonly database: Pick<Database, "sql">;
  readonly own: Decider;
  readonly assistant: Decider;
}): Deciding {
  const { own, assistant } = options;
  const sql = translatedSql(options.database);
  let known: { readonly side: Promise<Side>; readonly at: number } | undefined;
  const look = (): Promise<Side> => {
    const side = readAuthority({ sql }).then(({ authority }): Side =>
      authority === "gateway" ? "gateway" : "assistant",
    );
    known = { side, at: performance.now() };
    side.catch(() => (known = undefined));
    return side;
  };
  const side = (): Promise<Side> =>
    known !== undefined && performance.now() - known.at < BELIEVED_MS ? known.side : look();
  // One look for all that wait.
  let watching: Promise<void> | undefined;
  const settled = (): Promise<void> =>
    (watching ??= watch(sql).finally(() => {
      watching = undefined;
    }));
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
        await unlessAborted(settled(), signal).catch(() => undefined);
        await look();
      }
    },
  };
}

/** Resolves when nothing moves, or after a while. */
async function watch(sql: Sql): Promise<void> {
  const until = performance.now() + MAX_WATCH_MS;
  do await delay(POLL_MS);
  while (performance.now() < until && (await readAuthority({ sql })).phase !== "settled");
}
