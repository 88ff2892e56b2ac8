import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { createInvitesRig, type InvitesRig, otherThan, reasonOf, sides, unique } from "./invites-rig.ts";

let rig: InvitesRig;
beforeAll(async () => {
  rig = await createInvitesRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each(sides)("while the %s decides", (authority) => {
  let contactId: string;
  beforeAll(async () => {
    await rig.letDecide(authority);
    contactId = (await rig.createContact()).id;
  });

  /** An invite of a channel of its own, and somebody who guesses its code. */
  async function guessed(externalUserId = unique("@%")) {
    const sourceChannel = unique("channel-%");
    const { invite, secrets } = await rig.create({ contactId, sourceChannel });
    const by = (value: string) =>
      rig.invites.redeemInvite({ secret: { case: "code", value }, sourceChannel, externalUserId });
    return {
      id: invite.id,
      guess: () => by(otherThan(secrets.code)),
      knowIt: () => by(secrets.code),
      sourceChannel,
      code: secrets.code,
    };
  }

  it("the right code is of no use any more after five wrong ones, to whoever showed them", async () => {
    const { id, guess, knowIt, sourceChannel, code } = await guessed();
    for (let wrong = 0; wrong < 5; wrong += 1) expect(await reasonOf(guess())).toBe("INVITE_INVALID");
    const refused = await knowIt().catch((error: unknown) => error as HandlerError);
    expect(refused).toMatchObject({ reason: "TOO_MANY_ATTEMPTS", outcome: "NOT_COMMITTED" });
    const { retryAfterMs } = refused as HandlerError;
    expect(retryAfterMs).toBeGreaterThan(29 * 60_000);
    expect(retryAfterMs).toBeLessThanOrEqual(30 * 60_000);
    expect(await rig.get(id)).toMatchObject({ useCount: 0 });
    const secret = { case: "code", value: code } as const;
    await rig.invites.redeemInvite({ secret, sourceChannel, externalUserId: unique("@%") });
  });

  it("what was right doesn't count, nor what was found and is over", async () => {
    const { guess, knowIt, id } = await guessed();
    for (let wrong = 0; wrong < 4; wrong += 1) await reasonOf(guess());
    await knowIt();
    for (let again = 0; again < 6; again += 1) expect(await reasonOf(knowIt())).toBe("INVITE_EXHAUSTED");
    expect(await reasonOf(guess())).toBe("INVITE_INVALID");
    expect(await reasonOf(guess())).toBe("TOO_MANY_ATTEMPTS");
    expect(await rig.get(id)).toMatchObject({ useCount: 1 });
  });

  it("nobody gets more guesses by writing their address otherwise", async () => {
    const sourceChannel = "whatsapp";
    const { code } = (await rig.create({ contactId, sourceChannel })).secrets;
    const forms = [
      "+14155550199",
      " +1 415 555 0199",
      "+1 (415) 555-0199",
      "+1.415.555.0199",
      "+1-4155550199",
    ];
    const guessAs = (externalUserId: string) =>
      reasonOf(
        rig.invites.redeemInvite({
          secret: { case: "code", value: otherThan(code) },
          sourceChannel,
          externalUserId,
        }),
      );
    await runSql(rig.pair.gateway.url, "DELETE FROM redeem_attempts WHERE channel = 'whatsapp'");
    for (const form of forms) expect(await guessAs(form)).toBe("INVITE_INVALID");
    expect(await guessAs("+1415555 0199")).toBe("TOO_MANY_ATTEMPTS");
  });

  it("of fifty wrong codes at once five are looked up, and no other comes to the table", async () => {
    const { guess } = await guessed();
    const { url } = rig.pair[authority];
    // Whoever looks something up has to wait for this one, so that it is seen.
    const holding = new AbortController();
    const held = holdTable(url, rig.table(), holding.signal);
    await held.holding;
    const reasons: string[] = [];
    const guesses = Array.from({ length: 50 }, async () => {
      reasons.push(await reasonOf(guess()));
    });
    // They are refused while nothing can be read: they have not looked.
    await waitFor(() => reasons.length === 45, { describe: "45 to be refused", timeoutMs: 10_000 });
    expect(new Set(reasons)).toEqual(new Set(["TOO_MANY_ATTEMPTS"]));
    holding.abort();
    await held.released;
    await Promise.all(guesses);
    expect(reasons.filter((reason) => reason !== "TOO_MANY_ATTEMPTS")).toHaveLength(5);
    // What waited for too long was no guess. Once five are known to be wrong, none comes there, even if it isn't let.
    await Promise.all([1, 2, 3, 4, 5].map(() => reasonOf(guess())));
    await withoutRight(url, rig.table(), async () => {
      for (let more = 0; more < 3; more += 1) expect(await reasonOf(guess())).toBe("TOO_MANY_ATTEMPTS");
    });
  });
});

/** Holds a table, in a session of its own, until it is called off. */
function holdTable(url: string, table: string, signal: AbortSignal) {
  const lock = Math.floor(Math.random() * 1e9);
  const session = runSql(
    url,
    `BEGIN; LOCK TABLE ${table}; SELECT pg_advisory_xact_lock(${lock});
     DO $$ BEGIN
       FOR n IN 1..2000 LOOP
         EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = ${lock + 1} AND granted);
         PERFORM pg_sleep(0.01);
       END LOOP;
     END $$; COMMIT`,
  );
  const isLocked = async (): Promise<boolean> =>
    (await runSql(url, `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = ${lock} AND granted`))
      .length > 0;
  const released = new Promise<void>((resolve, reject) => {
    signal.addEventListener("abort", () => {
      const release = runSql(url, `SELECT pg_advisory_lock(${lock + 1}), pg_sleep(0.1)`);
      Promise.all([release, session]).then(() => resolve(), reject);
    });
  });
  return { holding: waitFor(isLocked, { describe: "the table to be held" }), released };
}

/** Takes the right to read a table from everybody who works for callers. */
async function withoutRight(url: string, table: string, work: () => Promise<void>): Promise<void> {
  const roles = (
    await runSql(
      url,
      `SELECT string_agg(DISTINCT grantee, ', ') AS roles FROM information_schema.role_table_grants
       WHERE table_name = '${table}' AND privilege_type = 'SELECT' AND grantee ~ '_(app|dbproxy)$'`,
    )
  )[0]?.["roles"];
  await runSql(url, `REVOKE SELECT ON ${table} FROM ${String(roles)}`);
  try {
    await work();
  } finally {
    await runSql(url, `GRANT SELECT ON ${table} TO ${String(roles)}`);
  }
}
