import { FindingKind, Repair, type VerifySummary } from "@tandem/contract/tandem/gateway/v1/cutover";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCutoverConfig } from "./config.ts";
import { contentsOf, createCutoverRig, type CutoverRig, type Side } from "./cutover-rig.ts";
import { startLoad } from "./load.ts";

const { rows } = readCutoverConfig();
const invitesOf = { gateway: "ingress_invites", assistant: "assistant_ingress_invites" } as const;
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
  const invites = invitesOf[mirror];
  beforeAll(async () => {
    await rig.letDecide(decides);
    await fill(decides);
    await rig.mirrored(timeout);
  }, timeout);

  it("finds every row that differs, and none beside them while others are written", { timeout }, async () => {
    await using load = startLoad(rig, 40);
    const each = Math.max(2, Math.round(rows / 500));
    await spoil(mirror, driftOf(invites, each));
    const began = performance.now();
    const { found, summary } = await verify(Repair.UNSPECIFIED);
    const ms = Math.round(performance.now() - began);
    process.stderr.write(
      `cutover: ${String(summary.compared)} rows compared in ${ms} ms, ${found} findings\n`,
    );
    const all = BigInt(each);
    // An invite each, and a contact each where the invites of a contact are not what differs.
    expect(summary).toMatchObject({ missing: all, stale: all, different: all, orphans: all, newer: all });
    await load.stop();
    await verify(Repair.FOLLOW_AUTHORITY);
    // What the mirror has newer stays, until it is said that the authority is the one that lost it.
    expect((await verify(Repair.UNSPECIFIED)).summary).toMatchObject({ missing: 0n, newer: all });
    await verify(Repair.RECOVER_AUTHORITY);
    await rig.expectEqual();
  });

  it("brings back to the authority what a restored backup lacks", { timeout }, async () => {
    const url = rig.pair[decides].url;
    const before = (await contentsOf(url, invitesOf[decides])).length;
    // As it was before some were written: nothing says that they have been there.
    await runSql(
      url,
      `SET session_replication_role = replica;
       CREATE TEMP TABLE lost AS SELECT id FROM contacts ORDER BY id LIMIT ${Math.round(rows / 10)};
       DELETE FROM ${invitesOf[decides]} WHERE contact_id IN (SELECT id FROM lost);
       DELETE FROM contact_channels WHERE contact_id IN (SELECT id FROM lost);
       DELETE FROM contacts WHERE id IN (SELECT id FROM lost)`,
    );
    const { found, summary } = await verify(Repair.RECOVER_AUTHORITY);
    expect(summary.repaired).toBe(BigInt(found));
    expect(found).toBeGreaterThan(0);
    expect(await contentsOf(url, invitesOf[decides])).toHaveLength(before);
    await rig.expectEqual();
    expect((await verify(Repair.UNSPECIFIED)).found).toBe(0);
  });
});

/** As many contacts as are asked for, with an invite each. */
async function fill(side: Side): Promise<void> {
  await runSql(
    rig.pair[side].url,
    `WITH made AS (
       INSERT INTO contacts (id, display_name) SELECT gen_random_uuid(), 'c' || i FROM generate_series(1, ${rows}) i
       RETURNING id
     )
     INSERT INTO ${invitesOf[side]} (id, contact_id, source_channel, key_id, expires_at)
     SELECT gen_random_uuid(), id, 'telegram', 'k', now() + interval '1 day' FROM made`,
  );
}

/** Changes the mirror as no writer could. */
async function spoil(side: Side, text: string): Promise<void> {
  await runSql(rig.pair[side].url, `SET ROLE ${side}_mirror; ${text}`);
}

/** So many invites of each kind. The load's are redeemed soon; these aren't. */
function driftOf(invites: string, each: number): string {
  const some = (place: number): string =>
    `(SELECT id FROM ${invites} WHERE key_id = 'k' ORDER BY id OFFSET ${place * each} LIMIT ${each})`;
  return `
    UPDATE ${invites} SET version = version - 1, note = 'old' WHERE id IN ${some(1)};
    UPDATE ${invites} SET note = 'other' WHERE id IN ${some(2)};
    UPDATE ${invites} SET version = version + 3, note = 'later' WHERE id IN ${some(3)};
    INSERT INTO ${invites} (id, contact_id, source_channel, key_id, expires_at, created_at, updated_at)
      SELECT gen_random_uuid(), contact_id, 'telegram', 'orphan', expires_at, '2020-01-01', '2020-01-01'
      FROM ${invites} WHERE id IN ${some(4)};
    DELETE FROM ${invites} WHERE id IN ${some(0)}`;
}

async function verify(repair: Repair): Promise<{ readonly found: number; readonly summary: VerifySummary }> {
  let found = 0;
  const answers = rig.cutover.verifyMirror(
    { repair, settle: { seconds: 0n, nanos: 500_000_000 } },
    { timeoutMs: timeout },
  );
  for await (const { event } of answers) {
    if (event.case === "summary") return { found, summary: event.value };
    if (event.case === "finding" && event.value.kind !== FindingKind.UNSPECIFIED) found += 1;
  }
  return expect.fail("There is no summary.");
}
