import { HandlerError, TransportError } from "@tandem/rpc";
import { trackLeaks, waitFor } from "@tandem/testkit";
import * as fc from "fast-check";
import { afterAll, afterEach, expect, it } from "vitest";
import type { DbProxy } from "./create-db-proxy.ts";
import { newRequestId, requestIdOf } from "./request-id.ts";
import { sql } from "./sql.ts";
import { askings, fates, type ScriptedOwner, startScriptedOwner } from "./testing/scripted-owner.ts";

const leaks = trackLeaks();
let owner: ScriptedOwner;
afterEach(async () => {
  await owner.heal();
  await owner[Symbol.asyncDispose]();
});
afterAll(() => leaks.expectNoLeaks());

type Told = {
  readonly end: "committed" | "not committed" | "unknown";
  readonly requestId: string | undefined;
};

const scripts = fc.record({
  fates: fc.array(fc.constantFrom(...fates), { maxLength: 6 }),
  askings: fc.array(fc.constantFrom(...askings), { maxLength: 4 }),
  leavesAt: fc.option(fc.nat(6), { nil: undefined, freq: 4 }),
});
const lives = fc.constantFrom("none", "never sent", "applied", "under way");

it.each([
  { way: "over streams", streams: true },
  { way: "by calls", streams: false },
])(
  "applies a write at most once and tells the truth about it, whatever happens to its sends $way",
  async ({ streams }) => {
    owner = await startScriptedOwner({ streams });
    const ends: string[] = [];
    await fc.assert(
      fc.asyncProperty(scripts, lives, async (script, earlierLife) => {
        await owner.heal();
        const { ledger, signal } = owner.play(script);
        const requestId = earlierLife === "none" ? undefined : newRequestId();
        if (requestId !== undefined && earlierLife === "applied") ledger.commit(requestId);
        if (requestId !== undefined && earlierLife === "under way") ledger.delay(requestId, { late: true });

        const told = await write(owner.db, { signal, ...(requestId === undefined ? {} : { requestId }) });
        ends.push(told.end);
        const couldBeSettled = script.leavesAt === undefined && !script.askings.includes("failed by a bug");
        if (couldBeSettled) expect(told.end).not.toBe("unknown");
        // Whatever the caller was told must hold when everything that was under way has arrived.
        ledger.arrive({ last: told.end !== "unknown" });
        if (told.end === "committed") expect(ledger.effects()).toBe(1);
        if (told.end === "not committed") expect(ledger.effects()).toBe(0);
        if (told.end === "unknown") {
          await owner.heal();
          const settled = await waitFor(() => owner.db.receipt(told.requestId ?? "", { fence: true }), {
            describe: "the owner to be reached again",
          });
          ledger.arrive({ last: true });
          expect(ledger.effects()).toBe(settled.state === "committed" ? 1 : 0);
        }
      }),
      { numRuns: 200 },
    );
    // It met all of them; a script that always ends in one way shows nothing.
    expect(new Set(ends)).toEqual(new Set(["committed", "not committed", "unknown"]));
  },
);

async function write(db: DbProxy, options: { signal: AbortSignal; requestId?: string }): Promise<Told> {
  try {
    const { writeToken } = await db.transaction([sql`UPDATE t SET n = n + 1`], options);
    return { end: "committed", requestId: writeToken };
  } catch (error) {
    const requestId = requestIdOf(error);
    if (error instanceof HandlerError) {
      return { end: error.outcome === "NOT_COMMITTED" ? "not committed" : "unknown", requestId };
    }
    if (error instanceof TransportError) {
      return { end: error.sent === "no" ? "not committed" : "unknown", requestId };
    }
    throw error;
  }
}
