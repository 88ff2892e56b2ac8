import { FindingKind, Repair, type VerifySummary } from "@tandem/contract/tandem/gateway/v1/cutover";
import { runSql, watchPeakMemory } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCutoverConfig } from "./config.ts";
import { countOf, createCutoverRig, type CutoverRig, invitesOf, type Side } from "./cutover-rig.ts";
import { type Drift, injectDrift } from "./drift.ts";
import { startLoad } from "./load.ts";

const { rows } = readCutoverConfig();
const timeout = 60_000 + rows * 10;

let rig: CutoverRig;
beforeAll(async () => {
  rig = await createCutoverRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each([
  ["assistant", "gateway"],
  ["gateway", "assistant"],
] as const)("while the %s decides", (decides, mirror) => {
  beforeAll(async () => {
    await rig.letDecide(decides);
    await fill(decides);
  }, timeout);

  it("finds every row that differs, and none beside them while others are written", { timeout }, async () => {
    await using load = startLoad(rig, 40);
    const { url } = rig.pair[mirror];
    const drift = await injectDrift({
      url,
      role: `${mirror}_mirror`,
      invites: invitesOf[mirror],
      rows: rows / 100,
    });
    const { found, summary } = await verify(Repair.UNSPECIFIED);
    expectSame(found, drift);
    expect(summary).toMatchObject(countsOf(drift));
    const followed = await verify(Repair.FOLLOW_AUTHORITY);
    expectSame(followed.found, drift);
    // What the mirror has newer stays, until it is said that the authority is the one that lost it.
    const newer = new Map([...drift].filter(([, kind]) => kind === FindingKind.NEWER));
    expect(followed.summary.repaired).toBe(BigInt(drift.size - newer.size));
    expectSame((await verify(Repair.UNSPECIFIED)).found, newer);
    expect((await verify(Repair.RECOVER_AUTHORITY)).summary.repaired).toBe(BigInt(newer.size));
    await load.stop();
    await rig.expectEqual();
  });

  it("brings back to the authority what a restored backup lacks", { timeout }, async () => {
    const url = rig.pair[decides].url;
    const before = await countOf(url, decides);
    // As it was before some were written: nothing says that they have been there.
    await runSql(
      url,
      `SET session_replication_role = replica;
       CREATE TEMP TABLE lost AS SELECT id FROM contacts ORDER BY id LIMIT ${Math.round(rows / 50)};
       DELETE FROM ${invitesOf[decides]} WHERE contact_id IN (SELECT id FROM lost);
       DELETE FROM contact_channels WHERE contact_id IN (SELECT id FROM lost);
       DELETE FROM contacts WHERE id IN (SELECT id FROM lost)`,
    );
    const { found, summary } = await verify(Repair.RECOVER_AUTHORITY);
    expect(summary.repaired).toBe(BigInt(found.size));
    expect(found.size).toBeGreaterThan(0);
    expect(await countOf(url, decides)).toBe(before);
    await rig.expectEqual();
    expect((await verify(Repair.UNSPECIFIED)).found.size).toBe(0);
  });
});

/**
 * As many contacts as are asked for, with a channel each; nine of ten have an invite, and the others are called quiet. Both
 * databases get the same: to bring so many from one to the other is not what is tried here.
 */
async function fill(decides: Side): Promise<void> {
  const idOf = (what: string): string => `md5('${decides} ${what} ' || i)::uuid`;
  const numbers = `FROM generate_series(1, ${rows}) i, (VALUES ('2026-01-01'::timestamptz)) AS t (past)`;
  const fillOne = (side: Side): Promise<unknown> =>
    runSql(
      rig.pair[side].url,
      `SET session_replication_role = replica;
       INSERT INTO contacts (id, display_name, created_at, updated_at)
       SELECT ${idOf("contact")}, CASE WHEN i % 10 = 0 THEN 'quiet' ELSE 'c' || i END, past, past ${numbers};
       INSERT INTO contact_channels (id, contact_id, type, address, created_at, updated_at)
       SELECT ${idOf("channel")}, ${idOf("contact")}, 'email', '${decides}-' || i || '@example.org', past, past ${numbers};
       INSERT INTO ${invitesOf[side]} (id, contact_id, source_channel, key_id, expires_at, created_at, updated_at)
       SELECT ${idOf("invite")}, ${idOf("contact")}, 'telegram', 'k', past + interval '100 years', past, past ${numbers}
       WHERE i % 10 <> 0;
       ANALYZE contacts, contact_channels, ${invitesOf[side]}`,
    );
  await Promise.all([fillOne("assistant"), fillOne("gateway")]);
}

interface Verified {
  readonly found: ReadonlyMap<string, FindingKind>;
  readonly summary: VerifySummary;
}

async function verify(repair: Repair): Promise<Verified> {
  const services = [rig.service, rig.assistant];
  const memories = await Promise.all(services.map(({ process: { pid } }) => watchPeakMemory(pid)));
  const began = performance.now();
  const found = new Map<string, FindingKind>();
  const settle = { seconds: 0n, nanos: 500_000_000 };
  for await (const { event } of rig.cutover.verifyMirror({ repair, settle }, { timeoutMs: timeout })) {
    if (event.case === "finding") found.set(event.value.contactId || event.value.inviteId, event.value.kind);
    if (event.case !== "summary") continue;
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    const [gateway, assistant] = await Promise.all(
      memories.map(async (memory) => toMiB(await memory?.peak())),
    );
    process.stderr.write(
      `cutover: ${nameOf(Repair, repair)}: ${event.value.compared} rows compared, ${found.size} found and ${event.value.repaired} repaired in ${seconds} s; gateway at most ${gateway}, assistant ${assistant}\n`,
    );
    return { found, summary: event.value };
  }
  return expect.fail("There is no summary.");
}

const nameOf = (names: Readonly<Record<string, number>>, value: number): string =>
  Object.entries(names).find((entry) => entry[1] === value)?.[0] ?? `${value}`;

const toMiB = (bytes = 0): string => `${Math.round(bytes / 2 ** 20)} MiB`;

/** By what is in one of them alone: all of them are too many to be shown. */
function expectSame(found: Drift, expected: Drift): void {
  const beside = (some: Drift, others: Drift) =>
    [...some]
      .filter(([id, kind]) => others.get(id) !== kind)
      .map(([id, kind]) => `${id} ${nameOf(FindingKind, kind)}`);
  expect({ tooMany: beside(found, expected), tooFew: beside(expected, found) }).toEqual({
    tooMany: [],
    tooFew: [],
  });
}

function countsOf(drift: Drift) {
  const count = (kind: FindingKind): bigint =>
    BigInt([...drift.values()].filter((each) => each === kind).length);
  return {
    missing: count(FindingKind.MISSING),
    stale: count(FindingKind.STALE),
    different: count(FindingKind.DIFFERENT),
    orphans: count(FindingKind.ORPHAN),
    newer: count(FindingKind.NEWER),
  };
}
