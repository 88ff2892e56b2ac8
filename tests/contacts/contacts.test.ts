import { randomUUID } from "node:crypto";
import {
  type Contact,
  Contacts,
  ChannelPolicy,
  ChannelStatus,
} from "@tandem/contract/tandem/gateway/v1/contacts";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient, type HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ContactsRig, createContactsRig, unique } from "./contacts-rig.ts";

let rig: ContactsRig;
beforeAll(async () => {
  rig = await createContactsRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each(["assistant", "gateway"] as const)("while the %s decides", (authority) => {
  const inDatabase = (text: string) => runSql(rig.pair[authority].url, text);
  const invites = authority === "gateway" ? "ingress_invites" : "assistant_ingress_invites";
  beforeAll(() => rig.letDecide(authority));

  describe("UpdateContactChannel", () => {
    it("verifies, revokes and blocks a channel, with the reason of the state that it is in", async () => {
      const { id } = await rig.createChannelOf("Ada");
      const verified = await rig.update({ id, status: ChannelStatus.ACTIVE });
      expect(verified).toMatchObject({ status: ChannelStatus.ACTIVE, verifiedVia: "gateway", version: 2n });
      expect(Math.abs(Number(verified.verifyTime?.seconds) - Date.now() / 1_000)).toBeLessThan(60);
      const revoked = await rig.update({ id, status: ChannelStatus.REVOKED, reason: "left" });
      expect(revoked).toMatchObject({ status: ChannelStatus.REVOKED, revokeReason: "left", blockReason: "" });
      expect(revoked.verifyTime).toEqual(verified.verifyTime);
      const denied = await rig.update({ id, policy: ChannelPolicy.DENY });
      expect(denied).toMatchObject({
        status: ChannelStatus.REVOKED,
        policy: ChannelPolicy.DENY,
        revokeReason: "left",
      });
      const blocked = await rig.update({
        id,
        status: ChannelStatus.BLOCKED,
        reason: "spam",
        policy: ChannelPolicy.ALLOW,
      });
      expect(blocked).toMatchObject({ policy: ChannelPolicy.ALLOW, revokeReason: "", blockReason: "spam" });
      expect((await rig.get(blocked.contactId)).channels).toEqual([blocked]);
    });

    it("raises the version of the contact, too", async () => {
      const { id, contactId } = await rig.createChannelOf("Ada");
      await rig.update({ id, status: ChannelStatus.ACTIVE });
      expect(await rig.get(contactId)).toMatchObject({ version: 2n });
    });

    it("refuses another version than the expected one", async () => {
      const { id, version } = await rig.createChannelOf("Ada");
      await rig.update({ id, status: ChannelStatus.ACTIVE, expectedVersion: version });
      const stale = rig.update({ id, status: ChannelStatus.REVOKED, expectedVersion: version });
      await expect(stale).rejects.toMatchObject({ reason: "STALE_VERSION" });
    });

    it("lets one of many win that expect the same version", async () => {
      const { id, version } = await rig.createChannelOf("Ada");
      const given = { id, status: ChannelStatus.ACTIVE, expectedVersion: version };
      const settled = await Promise.allSettled(Array.from({ length: 6 }, () => rig.update(given)));
      expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    });

    it("has one effect under a request_id", async () => {
      const { id, version } = await rig.createChannelOf("Ada");
      const request = {
        id,
        requestId: newRequestId(),
        status: ChannelStatus.ACTIVE,
        expectedVersion: version,
      };
      const first = await rig.update(request);
      await rig.update({ id, status: ChannelStatus.BLOCKED });
      expect(await rig.update(request)).toEqual(first);
      expect((await rig.get(first.contactId)).channels[0]).toMatchObject({ status: ChannelStatus.BLOCKED });
    });

    it("says that a channel isn't there", async () => {
      const nowhere = rig.update({ id: randomUUID(), status: ChannelStatus.ACTIVE });
      await expect(nowhere).rejects.toMatchObject({ reason: "CHANNEL_NOT_FOUND" });
    });

    it.each<[string, object, string]>([
      ["nothing to change", {}, "status"],
      ["a state that nobody sets", { status: ChannelStatus.PENDING }, "status"],
      ["a reason without its state", { status: ChannelStatus.ACTIVE, reason: "why" }, "reason"],
      ["a reason that is too long", { status: ChannelStatus.BLOCKED, reason: "a".repeat(1_001) }, "reason"],
      ["no id", { id: "", status: ChannelStatus.ACTIVE }, "id"],
    ])("refuses %s", async (_, change, field) => {
      const refused = rig.update({ id: randomUUID(), ...change });
      await expect(refused).rejects.toMatchObject({ reason: "INVALID_REQUEST", fields: [{ field }] });
    });
  });

  describe("DeleteContact", () => {
    it("takes channels and invites with it", async () => {
      const { contactId: id } = await rig.createChannelOf("Ada");
      const bob = await rig.createChannelOf("Bob");
      for (const contactId of [id, bob.contactId]) {
        await inDatabase(
          `INSERT INTO ${invites} (id, contact_id, source_channel, key_id, expires_at)
           VALUES ('${randomUUID()}', '${contactId}', 'telegram', 'k', now() + interval '1 day')`,
        );
      }
      await rig.contacts.deleteContact({ id });
      await expect(rig.get(id)).rejects.toMatchObject({ reason: "CONTACT_NOT_FOUND" });
      const left = await inDatabase(
        `SELECT contact_id FROM contact_channels WHERE contact_id IN ('${id}', '${bob.contactId}')
         UNION ALL SELECT contact_id FROM ${invites} WHERE contact_id IN ('${id}', '${bob.contactId}')`,
      );
      expect(left).toEqual([{ contact_id: bob.contactId }, { contact_id: bob.contactId }]);
    });

    it("says that nothing was there, unless it is the same request again", async () => {
      const { id } = await rig.upsert({ displayName: "Ada" });
      const request = { id, requestId: newRequestId() };
      await rig.contacts.deleteContact(request);
      await rig.contacts.deleteContact(request);
      const missing = { reason: "CONTACT_NOT_FOUND", outcome: "NOT_COMMITTED" };
      await expect(rig.contacts.deleteContact({ id })).rejects.toMatchObject(missing);
      await expect(rig.contacts.deleteContact({ id, requestId: newRequestId() })).rejects.toMatchObject(
        missing,
      );
    });

    it("leaves the addresses to whoever comes next", async () => {
      const { contactId, address } = await rig.createChannelOf("Ada");
      await rig.contacts.deleteContact({ id: contactId });
      const next = await rig.upsert({ displayName: "Bob", channels: [{ type: "telegram", address }] });
      expect(next.id).not.toBe(contactId);
    });

    it("makes a contact of the same id anew, with a version above that of the old one", async () => {
      const { id } = await rig.upsert({ displayName: "Ada" });
      const { version } = await rig.upsert({ id, displayName: "Ada L." });
      await rig.contacts.deleteContact({ id });
      expect((await rig.upsert({ id, displayName: "Ada" })).version).toBeGreaterThan(version);
    });
  });

  describe("ListContacts", () => {
    it("gives every contact once, page by page, whatever comes and goes meanwhile", async () => {
      await inDatabase("DELETE FROM contacts");
      const made: Contact[] = [];
      for (let index = 0; index < 7; index += 1) {
        const channels = ["@a%", "@b%"]
          .slice(0, index % 3)
          .map((form) => ({ type: "telegram", address: unique(form) }));
        made.push(await rig.upsert({ displayName: `Ada ${index}`, channels }));
      }
      const inOrder = made.toSorted((one, other) => (one.id < other.id ? -1 : 1));
      const first = await rig.contacts.listContacts({ pageSize: 3 });
      expect(first.contacts).toEqual(inOrder.slice(0, 3));
      await rig.contacts.deleteContact({ id: inOrder[1]!.id });
      await rig.contacts.deleteContact({ id: inOrder[2]!.id });
      const second = await rig.contacts.listContacts({ pageSize: 3, pageToken: first.nextPageToken });
      expect(second.contacts).toEqual(inOrder.slice(3, 6));
      const third = await rig.contacts.listContacts({ pageToken: second.nextPageToken });
      expect(third).toMatchObject({ contacts: [{ id: inOrder[6]!.id }], nextPageToken: "" });
      expect((await rig.contacts.listContacts({ pageSize: 5 })).nextPageToken).toBe("");
    });

    it("gives a hundred where it isn't said how many, a thousand at most, and fewer of large ones", async () => {
      await inDatabase("DELETE FROM contacts");
      await inDatabase(
        `SET session_replication_role = replica;
         INSERT INTO contacts (id, display_name) SELECT gen_random_uuid(), 'Ada' FROM generate_series(1, 1003)`,
      );
      expect((await rig.contacts.listContacts({})).contacts).toHaveLength(100);
      expect((await rig.contacts.listContacts({ pageSize: 1_000_000 })).contacts).toHaveLength(1_000);
      await inDatabase(
        `SET session_replication_role = replica;
         INSERT INTO contact_channels (id, contact_id, type, address, blocked_reason)
         SELECT gen_random_uuid(), id, 'telegram', n || id::text, repeat('x', 900)
         FROM contacts, generate_series(1, 12) n`,
      );
      const seen = new Set<string>();
      let pages = 0;
      for (let pageToken = ""; pages === 0 || pageToken !== ""; pages += 1) {
        const page = await rig.contacts.listContacts({ pageSize: 1_000, pageToken });
        for (const { id, channels } of page.contacts) {
          expect(channels).toHaveLength(12);
          seen.add(id);
        }
        pageToken = page.nextPageToken;
      }
      expect(seen.size).toBe(1_003);
      expect(pages).toBeGreaterThan(4);
      // Without the triggers, which would take their time for so many.
      await inDatabase(
        "SET session_replication_role = replica; DELETE FROM contact_channels; DELETE FROM contacts",
      );
    });

    it("refuses a token that it didn't give, and a negative size", async () => {
      const refused = { reason: "INVALID_REQUEST", fields: [{ field: "page_token" }] };
      await expect(rig.contacts.listContacts({ pageToken: "next" })).rejects.toMatchObject(refused);
      await expect(rig.contacts.listContacts({ pageSize: -1 })).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
      });
    });
  });

  describe("TouchContactChannel", () => {
    it("counts every interaction, and when the last one was", async () => {
      const { contactId, type, address } = await rig.createChannelOf("Ada");
      const untouched = await rig.createChannelOf("Bob");
      await Promise.all(
        Array.from({ length: 20 }, () => rig.contacts.touchContactChannel({ type, address: ` ${address}` })),
      );
      await rig.contacts.touchContactChannel({ type, address: unique("@nobody%") });
      const counted = await waitFor(
        async () => {
          const [found] = (await rig.get(contactId)).channels;
          return found?.interactionCount === 20n ? found : undefined;
        },
        { describe: "the interactions to be counted" },
      );
      expect(Math.abs(Number(counted.lastSeenTime?.seconds) - Date.now() / 1_000)).toBeLessThan(60);
      expect((await rig.get(untouched.contactId)).channels).toEqual([untouched]);
    });

    it("refuses what can't be an address", async () => {
      const refused = rig.contacts.touchContactChannel({ type: "email", address: "ada" });
      await expect(refused).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        fields: [{ field: "address" }],
      });
    });

    it("loses nothing of what was counted when the gateway stops", async () => {
      const other = await rig.startGateway();
      await other.serving();
      const at = createChannel({ address: await other.address() });
      const { contactId, type, address } = await rig.createChannelOf("Ada");
      await createClient(Contacts, at).touchContactChannel({ type, address });
      at.close();
      other.process.kill("SIGTERM");
      expect(await other.process.waitForExit()).toEqual({ code: 0, signal: null });
      expect((await rig.get(contactId)).channels[0]).toMatchObject({ interactionCount: 1n });
    });
  });
});

it("nobody may call it who isn't named", async () => {
  const closed = await rig.pair.startGateway({
    TANDEM_ASSISTANT_ADDRESS: await rig.assistant.dbProxyAddress(),
  });
  await closed.serving();
  const at = createChannel({ address: await closed.address() });
  const refused = createClient(Contacts, at).getContact({ id: randomUUID() });
  await expect(refused).rejects.toMatchObject({ reason: "METHOD_NOT_ALLOWED" });
  at.close();
});

it("asks the database that decides by now before it says that something isn't there", async () => {
  const { id, channels } = await inAssistant("Ada");
  await rig.letDecide("gateway");
  // The authority moves to where the contact is; the gateway believes otherwise for a while.
  await rig.setAuthority("assistant");
  const [channel] = channels;
  expect(await rig.get(id)).toMatchObject({ displayName: "Ada" });
  await rig.letDecide("gateway");
  await rig.setAuthority("assistant");
  await rig.update({ id: channel!.id, status: ChannelStatus.ACTIVE });
  await rig.letDecide("gateway");
  await rig.setAuthority("assistant");
  expect(await rig.upsert({ id, expectedVersion: 2n })).toMatchObject({ displayName: "Ada", version: 3n });
  await rig.letDecide("gateway");
  await rig.setAuthority("assistant");
  await rig.contacts.deleteContact({ id });
});

async function inAssistant(displayName: string): Promise<Contact> {
  await rig.letDecide("assistant");
  return rig.upsert({ displayName, channels: [{ type: "telegram", address: unique("@%") }] });
}

it("says that the database that decides can't be reached, and of a write no more than it knows", async () => {
  await rig.letDecide("assistant");
  const doomed = await rig.pair.startAssistant();
  await doomed.serving();
  const gateway = await rig.startGateway(doomed);
  const at = createChannel({ address: await gateway.address() });
  const { upsertContact, getContact } = createClient(Contacts, at);
  const { contact } = await upsertContact({ displayName: "Ada" });
  doomed.process.kill("SIGKILL");
  await doomed.process.waitForExit();
  const options = { timeoutMs: 3_000 };
  const write = upsertContact({ displayName: "Bob" }, options).catch((error: unknown) => error);
  // Where it went out over a connection that was about to break, nobody knows.
  const outcomes = { DATABASE_UNAVAILABLE: "NOT_COMMITTED", COMMIT_OUTCOME_UNKNOWN: "UNKNOWN" };
  const { reason, outcome, retryable } = (await write) as HandlerError;
  expect(Object.entries(outcomes)).toContainEqual([reason, outcome]);
  expect(retryable).toBe(true);
  const read = getContact({ id: contact?.id ?? "" }, options);
  await expect(read).rejects.toMatchObject({ reason: "DATABASE_UNAVAILABLE", retryable: true });
  at.close();
});
