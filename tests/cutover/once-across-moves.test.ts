import { randomUUID } from "node:crypto";
import { newRequestId } from "@tandem/dbproxy";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createCutoverRig, type CutoverRig, type Side } from "./cutover-rig.ts";

let rig: CutoverRig;
beforeAll(async () => {
  rig = await createCutoverRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

const otherThan = { assistant: "gateway", gateway: "assistant" } as const;

async function createContact(given: object = {}): Promise<string> {
  const { contact } = await rig.contacts.upsertContact({ displayName: "Ada", ...given });
  return contact?.id ?? expect.fail("There is no contact in the answer.");
}

async function countInvites(contactId: string): Promise<number> {
  await rig.mirrored();
  const rows = await runSql(
    rig.pair.gateway.url,
    `SELECT FROM ingress_invites WHERE contact_id = '${contactId}'`,
  );
  return rows.length;
}

/** Afterwards the gateway knows it: it believes what it read before until it is refused, or for a second. */
async function moveTo(side: Side): Promise<void> {
  await rig.letDecide(side);
  await createContact();
}

/** The session that commits a receipt next in a database is ended then, and nothing of it is committed. */
async function withLostCommit(side: Side, work: () => Promise<void>): Promise<void> {
  const { url } = rig.pair[side];
  await runSql(
    url,
    `CREATE SEQUENCE public.commits;
     CREATE FUNCTION public.lose_one() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
       IF nextval('public.commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
       RETURN NULL;
     END $$;
     CREATE CONSTRAINT TRIGGER lose_one AFTER INSERT ON tandem.receipts
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.lose_one()`,
  );
  try {
    await work();
  } finally {
    await runSql(
      url,
      `DROP TRIGGER lose_one ON tandem.receipts; DROP FUNCTION public.lose_one(); DROP SEQUENCE public.commits`,
    );
  }
}

describe.each(["assistant", "gateway"] as const)("a request that was sent while the %s decided", (former) => {
  const next = otherThan[former];
  beforeEach(() => moveTo(former));

  it("creates one invite, also where an id was spent before", async () => {
    const contactId = randomUUID();
    const request = { requestId: newRequestId(), invite: { contactId, sourceChannel: "telegram" } };
    await expect(rig.invites.createInvite(request)).rejects.toMatchObject({ reason: "CONTACT_NOT_FOUND" });
    await createContact({ id: contactId });
    const created = await rig.invites.createInvite(request);
    await moveTo(next);
    expect(await rig.invites.createInvite(request)).toEqual(created);
    expect(await countInvites(contactId)).toBe(1);
  });

  it("creates one invite, also where the commit of a copy is lost", async () => {
    const contactId = await createContact();
    const request = { requestId: newRequestId(), invite: { contactId, sourceChannel: "telegram" } };
    const created = await rig.invites.createInvite(request);
    await moveTo(next);
    await withLostCommit(next, async () => {
      expect(await rig.invites.createInvite(request)).toEqual(created);
    });
    expect(await countInvites(contactId)).toBe(1);
  });
});
