import { randomUUID } from "node:crypto";
import { FindingKind, Repair } from "@tandem/contract/tandem/gateway/v1/cutover";
import { newRequestId } from "@tandem/dbproxy";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { authorityOf, createCutoverRig, type CutoverRig } from "./cutover-rig.ts";

let rig: CutoverRig;
beforeAll(async () => {
  rig = await createCutoverRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

it("the authority can move when what the mirror refused has been repaired, and not before", async () => {
  const contactId = randomUUID();
  await rig.contacts.upsertContact({ requestId: newRequestId(), id: contactId, displayName: "Ada" });
  await rig.mirrored();
  // As no writer could: the mirror has lost a contact, and refuses what refers to it.
  await runSql(
    rig.pair.gateway.url,
    `SET ROLE gateway_mirror; DELETE FROM contacts WHERE id = '${contactId}'`,
  );
  const request = { contactId, sourceChannel: "telegram" };
  const { invite } = await rig.invites.createInvite({ requestId: newRequestId(), invite: request });
  const stranger = await inviteOfNobody();
  const parked = async (): Promise<bigint | undefined> =>
    (await rig.cutover.getAuthority({})).backlog?.parked;
  await waitFor(async () => (await parked()) === 2n, { describe: "both to be parked", timeoutMs: 20_000 });

  const { MISSING } = FindingKind;
  expect(await repair()).toEqual([
    { contactId, inviteId: "", kind: MISSING, repaired: true },
    ...[
      { contactId: "", inviteId: invite?.id, kind: MISSING, repaired: true },
      { contactId: "", inviteId: stranger, kind: MISSING, repaired: false },
    ].toSorted((a, b) => (String(a.inviteId) < String(b.inviteId) ? -1 : 1)),
  ]);
  expect(await parked()).toBe(1n);
  const { epoch } = await rig.cutover.getAuthority({});
  const move = { authority: authorityOf.gateway, expectedEpoch: epoch };
  await expect(rig.cutover.setAuthority(move)).rejects.toMatchObject({ reason: "GUARD_UNMET" });

  await runSql(
    rig.pair.assistant.url,
    `UPDATE assistant_ingress_invites SET contact_id = '${contactId}' WHERE id = '${stranger}'`,
  );
  await rig.mirrored();
  expect(await rig.cutover.setAuthority(move)).toMatchObject({ authority: authorityOf.gateway });
  await rig.expectEqual();
});

/** What the assistant's table allows, and the gateway's doesn't. */
async function inviteOfNobody(): Promise<string> {
  const [made] = await runSql(
    rig.pair.assistant.url,
    `INSERT INTO assistant_ingress_invites (id, contact_id, source_channel, key_id, expires_at)
     VALUES (gen_random_uuid(), gen_random_uuid(), 'telegram', 'k', now() + interval '1 day') RETURNING id`,
  );
  return String(made?.["id"]);
}

async function repair() {
  const findings = [];
  for await (const { event } of rig.cutover.verifyMirror({ repair: Repair.FOLLOW_AUTHORITY })) {
    if (event.case !== "finding") continue;
    const { contactId, inviteId, kind, repaired } = event.value;
    findings.push({ contactId, inviteId, kind, repaired });
  }
  return findings;
}
