import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { newRequestId } from "@tandem/dbproxy";
import { HandlerError, TransportError } from "@tandem/rpc";
import { runSql } from "@tandem/testkit";
import { expect } from "vitest";
import type { CutoverRig, GatewayClients } from "./cutover-rig.ts";

/** What one caller did: a contact, an invite for it, a redemption, and another name. */
interface Visit {
  readonly contactId: string;
  readonly inviteId: string;
  readonly address: string;
}

/** Calls that go on until they are stopped, a fixed number a second, whatever becomes of them. */
export interface Load extends AsyncDisposable {
  /** How many were answered. */
  calls(): number;
  /** The longest since it was last asked, with everything that it was tried again for. */
  longestMs(): number;
  /** Resolves when all that was begun has been answered. */
  stop(): Promise<void>;
  /** Fails unless all that was answered is there, once. */
  expectAllThere(rig: CutoverRig): Promise<void>;
}

const CHANNEL = "telegram";
const CALLS_A_VISIT = 4;
// More than are ever in flight while nothing is stuck for long.
const MAX_VISITS = 2_000;
const TICK_MS = 10;
// Who isn't answered within this is stuck.
const PATIENCE_MS = 15_000;

export function startLoad(clients: GatewayClients, rate: number): Load {
  const stopped = new AbortController();
  const visits: Visit[] = [];
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let calls = 0;
  let longestMs = 0;
  const timed: Timed = async (call) => {
    const began = performance.now();
    const answer = await patiently(call, began + PATIENCE_MS);
    longestMs = Math.max(longestMs, performance.now() - began);
    calls += 1;
    return answer;
  };
  const begin = (): void => {
    if (underWay.size >= MAX_VISITS) return;
    const visiting = visit(clients, timed).then(
      (done) => void visits.push(done),
      (error: unknown) => void failures.push(error),
    );
    underWay.add(visiting);
    void visiting.finally(() => underWay.delete(visiting));
  };
  const pacing = pace(rate / CALLS_A_VISIT, { begin, signal: stopped.signal });
  const end = async (): Promise<void> => {
    stopped.abort();
    await pacing;
    await Promise.all(underWay);
  };
  return {
    calls: () => calls,
    longestMs: () => {
      const longest = longestMs;
      longestMs = 0;
      return longest;
    },
    stop: async () => {
      await end();
      expect(failures).toEqual([]);
    },
    expectAllThere: (rig) => expectAllThere(visits, rig),
    [Symbol.asyncDispose]: end,
  };
}

type Timed = <T>(call: () => Promise<T>) => Promise<T>;

async function visit({ contacts, invites }: GatewayClients, timed: Timed): Promise<Visit> {
  const [contactId, inviteId, address] = [randomUUID(), randomUUID(), randomUUID()];
  const create = { requestId: newRequestId(), id: contactId, displayName: "before" };
  await timed(() => contacts.upsertContact(create));
  const invite = { requestId: newRequestId(), invite: { id: inviteId, contactId, sourceChannel: CHANNEL } };
  const { secrets } = await timed(() => invites.createInvite(invite));
  const redemption = {
    requestId: newRequestId(),
    secret: { case: "token", value: secrets?.token ?? "" } as const,
    sourceChannel: CHANNEL,
    externalUserId: address,
  };
  const { outcome } = await timed(() => invites.redeemInvite(redemption));
  // A copy of a redemption whose answer was lost finds its redeemer in.
  expect([RedeemOutcome.REDEEMED, RedeemOutcome.ALREADY_MEMBER]).toContain(outcome);
  const rename = { requestId: newRequestId(), id: contactId, displayName: "after" };
  await timed(() => contacts.upsertContact(rename));
  return { contactId, inviteId, address };
}

/** Begins so many a second, until it is stopped. */
async function pace(
  rate: number,
  { begin, signal }: { readonly begin: () => void; readonly signal: AbortSignal },
): Promise<void> {
  let due = 0;
  let last = performance.now();
  while (!signal.aborted) {
    await delay(TICK_MS);
    const now = performance.now();
    due += ((now - last) / 1_000) * rate;
    last = now;
    for (; due >= 1; due -= 1) begin();
  }
}

async function expectAllThere(visits: readonly Visit[], { pair: { gateway } }: CutoverRig): Promise<void> {
  const contacts = await runSql(
    gateway.url,
    "SELECT id FROM contacts WHERE display_name IN ('before', 'after')",
  );
  expect(contacts).toHaveLength(visits.length);
  const made = await runSql(
    gateway.url,
    `SELECT c.id AS "contactId", i.id AS "inviteId", ch.address, c.display_name, i.status, i.use_count
     FROM contacts c JOIN ingress_invites i ON i.contact_id = c.id JOIN contact_channels ch ON ch.contact_id = c.id
     WHERE c.display_name IN ('before', 'after')`,
  );
  const expected = visits.map((each) => ({
    ...each,
    display_name: "after",
    status: "redeemed",
    use_count: 1,
  }));
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted();
  expect(sorted(made)).toEqual(sorted(expected));
}

/** As a caller does it: what may succeed later is sent again, as it was. */
async function patiently<T>(call: () => Promise<T>, until: number): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const mayPass = error instanceof TransportError || (error instanceof HandlerError && error.retryable);
      if (!mayPass || performance.now() > until) throw error;
      await delay(TICK_MS);
    }
  }
}
