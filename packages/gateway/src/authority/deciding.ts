import { timestampMs } from "@bufbuild/protobuf/wkt";
import { toTimestamp } from "@tandem/invites";
import { type Authority, type Database, readAuthority, type Sql, translatedSql } from "@tandem/postgres";
import { HandlerError, unlessAborted } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import type { Decider, Side } from "./decider.ts";

/** Sends work to whichever side decides. It fails with a HandlerError where it can't be found out which. */
export interface Deciding {
  /** Who decides, as far as is known: it may have moved within the last second. */
  side(): Promise<Side>;
  /**
   * Does work with the one that decides, and says who did before, if it has ever moved. While the authority moves the work is refused with NOT_AUTHORITATIVE, having
   * had no effect, and is done again when it has, within the time that there is.
   */
  decide<T>(
    work: (decider: Decider, before: DecidedBefore | undefined) => Promise<T>,
    patience: { readonly deadline: Date | undefined; readonly signal: AbortSignal },
  ): Promise<T>;
}

/** The one that decided before the authority moved. It has nothing to commit any more. */
export interface DecidedBefore {
  readonly decider: Decider;
  /** Not later than this, in milliseconds since 1970, by the clock of the gateway's database. */
  readonly until: number;
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
  let known: { readonly authority: Promise<Authority>; readonly at: number } | undefined;
  const look = (): Promise<Authority> => {
    const authority = readAuthority({ sql });
    known = { authority, at: performance.now() };
    authority.catch(() => (known = undefined));
    return authority;
  };
  const lastSeen = (): Promise<Authority> =>
    known !== undefined && performance.now() - known.at < BELIEVED_MS ? known.authority : look();
  // One look for all that wait.
  let watching: Promise<void> | undefined;
  const settled = (): Promise<void> =>
    (watching ??= watch(sql).finally(() => {
      watching = undefined;
    }));
  return {
    side: async () => sideOf(await lastSeen()),
    decide: async (work, { deadline, signal }) => {
      for (;;) {
        const authority = await lastSeen();
        const [decider, other] = sideOf(authority) === "gateway" ? [own, assistant] : [assistant, own];
        const until = timestampMs(toTimestamp(authority.since));
        try {
          return await work(decider, authority.epoch > 1n ? { decider: other, until } : undefined);
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

function sideOf({ authority }: Authority): Side {
  return authority === "gateway" ? "gateway" : "assistant";
}

/** Resolves when nothing moves, or after a while. */
async function watch(sql: Sql): Promise<void> {
  const until = performance.now() + MAX_WATCH_MS;
  do await delay(POLL_MS);
  while (performance.now() < until && (await readAuthority({ sql })).phase !== "settled");
}
