import { randomUUID } from "node:crypto";
import { ChannelStatus } from "@tandem/contract/tandem/gateway/v1/contacts";
import { RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { newRequestId } from "@tandem/dbproxy";
import { runSql, waitFor } from "@tandem/testkit";
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

  it("creates one invite under an id that its caller chose, and tells only copies its secrets", async () => {
    const invite = { id: randomUUID(), contactId: await createContact(), sourceChannel: "telegram" };
    const request = { requestId: newRequestId(), invite };
    const created = await rig.invites.createInvite(request);
    await moveTo(next);
    for (const _ of Array.from({ length: 10 })) {
      expect(await rig.invites.createInvite(request)).toEqual(created);
    }
    const another = rig.invites.createInvite({ requestId: newRequestId(), invite });
    await expect(another).rejects.toMatchObject({ reason: "UNIQUE_VIOLATION", outcome: "NOT_COMMITTED" });
  });

  it("redeems once, also where the channel was revoked since", async () => {
    const contactId = await createContact();
    const invite = { contactId, sourceChannel: "telegram", maxUses: 2 };
    const { secrets } = await rig.invites.createInvite({ invite });
    const request = {
      requestId: newRequestId(),
      secret: { case: "token", value: secrets?.token ?? "" } as const,
      sourceChannel: "telegram",
      externalUserId: randomUUID(),
    };
    const redeemed = await rig.invites.redeemInvite(request);
    expect(redeemed.outcome).toBe(RedeemOutcome.REDEEMED);
    const { contactChannelId: id } = redeemed;
    await rig.contacts.updateContactChannel({ id, status: ChannelStatus.REVOKED, reason: "out" });
    await moveTo(next);
    expect(await rig.invites.redeemInvite(request)).toEqual(redeemed);
    const { contact } = await rig.contacts.getContact({ id: contactId });
    expect(contact?.channels[0]?.status).toBe(ChannelStatus.REVOKED);
    const { invite: left } = await rig.invites.getInvite({ id: redeemed.invite?.id ?? "" });
    expect(left?.useCount).toBe(1);
  });

  it("changes a contact and a channel once, and undoes nothing that was written since", async () => {
    const id = randomUUID();
    const old = { requestId: newRequestId(), id, displayName: "old" };
    const renamed = await rig.contacts.upsertContact(old);
    const channels = [{ type: "telegram", address: randomUUID() }];
    const { contact } = await rig.contacts.upsertContact({ id, displayName: "new", channels });
    const channelId = contact?.channels[0]?.id ?? "";
    const verify = { requestId: newRequestId(), id: channelId, status: ChannelStatus.ACTIVE };
    const verified = await rig.contacts.updateContactChannel(verify);
    await rig.contacts.updateContactChannel({
      id: channelId,
      status: ChannelStatus.BLOCKED,
      reason: "abuse",
    });
    await moveTo(next);
    expect(await rig.contacts.upsertContact(old)).toEqual(renamed);
    expect(await rig.contacts.updateContactChannel(verify)).toEqual(verified);
    const { contact: left } = await rig.contacts.getContact({ id });
    expect(left).toMatchObject({ displayName: "new", channels: [{ status: ChannelStatus.BLOCKED }] });
  });

  it("deletes a contact once, and not what was made again under its id", async () => {
    const id = await createContact();
    const request = { requestId: newRequestId(), id };
    await rig.contacts.deleteContact(request);
    await createContact({ id });
    await moveTo(next);
    await rig.contacts.deleteContact(request);
    const { contact } = await rig.contacts.getContact({ id });
    expect(contact).toMatchObject({ id });
  });

  it("is applied where it never was before", async () => {
    const id = await createContact();
    // A request that the one that decided then has refused for good.
    const request = { requestId: newRequestId(), id, displayName: "Grace", expectedVersion: 7n };
    await expect(rig.contacts.upsertContact(request)).rejects.toMatchObject({ reason: "STALE_VERSION" });
    await moveTo(next);
    const { contact } = await rig.contacts.upsertContact({ ...request, expectedVersion: 1n });
    expect(contact?.displayName).toBe("Grace");
  });
});

it("what the assistant may have applied is not applied again while it is away", async () => {
  await moveTo("assistant");
  const id = randomUUID();
  const request = { requestId: newRequestId(), id, displayName: "old" };
  const renamed = await rig.contacts.upsertContact(request);
  await moveTo("gateway");
  await createContact({ id, displayName: "new" });
  await withoutAssistantsDatabase(async () => {
    const asked = rig.contacts.upsertContact(request);
    await expect(asked).rejects.toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN", retryable: true });
  });
  const asked = () => rig.contacts.upsertContact(request).catch(isUnknown);
  expect(await waitFor(asked, { describe: "the assistant to answer" })).toEqual(renamed);
  const { contact } = await rig.contacts.getContact({ id });
  expect(contact?.displayName).toBe("new");
});

it("what is new is applied while the assistant is away, some minutes behind the move", async () => {
  await moveTo("gateway");
  const { url } = rig.pair.gateway;
  await runSql(url, "UPDATE tandem.authority SET since = since - interval '5 minutes'");
  await withoutAssistantsDatabase(async () => {
    const write = () =>
      rig.contacts.upsertContact({ requestId: newRequestId(), displayName: "Grace" }).catch(isUnknown);
    // Until the gateway has looked again.
    const { contact } = await waitFor(write, { describe: "a new request to be applied" });
    expect(contact?.displayName).toBe("Grace");
  });
});

function isUnknown(error: unknown): false {
  expect(error).toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN" });
  return false;
}

async function withoutAssistantsDatabase(work: () => Promise<void>): Promise<void> {
  const { assistant, gateway } = rig.pair;
  const allow = (is: boolean) =>
    runSql(gateway.url, `ALTER DATABASE ${assistant.name} ALLOW_CONNECTIONS ${is}`);
  await allow(false);
  await runSql(
    gateway.url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${assistant.name}'`,
  );
  try {
    await work();
  } finally {
    await allow(true);
  }
}
