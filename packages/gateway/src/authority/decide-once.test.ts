import { HandlerError, type Reason } from "@tandem/rpc";
import { newRequestId, requestIdTime } from "@tandem/dbproxy";
import { describe, expect, it } from "vitest";
import { decideOnce } from "./decide-once.ts";
import type { Decider } from "./decider.ts";
import type { DecidedBefore, Deciding } from "./deciding.ts";

const { signal } = new AbortController();
const requestId = newRequestId();
const MINUTE_MS = 60_000;

/** A decider that gives its side for whatever is asked for; where it decided before, it has committed the write or not. */
function deciderAt(side: Decider["side"], hasCommitted: Decider["hasCommitted"]): Decider {
  return {
    side,
    hasCommitted,
    read: () => expect.fail("Nothing is read."),
    write: () => expect.fail("Nothing is written."),
  };
}

/** The gateway decides, since so many minutes after the request's id was made; the assistant did before. */
function movedAfter(minutes: number, hasCommitted: Decider["hasCommitted"]): Deciding {
  const own = deciderAt("gateway", () => expect.fail("Nobody asks the one that decides."));
  const until = requestIdTime(requestId) + minutes * MINUTE_MS;
  const before: DecidedBefore = { decider: deciderAt("assistant", hasCommitted), until };
  return { side: async () => "gateway", decide: (work) => work(own, before) };
}

const sideOf = async ({ side }: Decider): Promise<string> => side;
const ask = (deciding: Deciding, id: string | undefined = requestId): Promise<string> =>
  decideOnce(deciding, sideOf, { caller: "app", requestId: id, deadline: undefined, signal });
const fail = (reason: Reason) => () => Promise.reject(new HandlerError({ reason, message: "It fails." }));

describe("a write behind a move", () => {
  it("is answered by the side that committed it before, and else is done by the one that decides", async () => {
    expect(await ask(movedAfter(1, async () => true))).toBe("assistant");
    expect(await ask(movedAfter(1, async () => false))).toBe("gateway");
  });

  it("is asked for where clocks that differ may hide that it is as old", async () => {
    expect(await ask(movedAfter(-1.9, async () => true))).toBe("assistant");
    expect(await ask(movedAfter(-2.1, () => expect.fail("It is younger.")))).toBe("gateway");
  });

  it.each<[Reason, Reason]>([
    ["DATABASE_UNAVAILABLE", "COMMIT_OUTCOME_UNKNOWN"],
    ["NOT_PRIMARY", "COMMIT_OUTCOME_UNKNOWN"],
    ["METHOD_NOT_ALLOWED", "METHOD_NOT_ALLOWED"],
    ["DATABASE_INTERNAL", "DATABASE_INTERNAL"],
  ])("is left open where asking fails with %s", async (failed, reason) => {
    await expect(ask(movedAfter(1, fail(failed)))).rejects.toMatchObject({ reason, outcome: "UNKNOWN" });
  });
});
