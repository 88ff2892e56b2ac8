import { randomUUID } from "node:crypto";
import { ChannelPolicy, ChannelStatus } from "@tandem/contract/tandem/gateway/v1/contacts";
import { newRequestId } from "@tandem/dbproxy";
import { HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ContactsRig, createContactsRig, unique, uniqueNumber } from "./contacts-rig.ts";

let rig: ContactsRig;
beforeAll(async () => {
  rig = await createContactsRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each(["assistant", "gateway"] as const)("UpsertContact, while the %s decides,", (authority) => {
  const inDatabase = (text: string) => runSql(rig.pair[authority].url, text);
  beforeAll(() => rig.letDecide(authority));

  it("creates a contact, with its channels in canonical form", async () => {
    const created = await rig.upsert({
      displayName: " Ada ",
      channels: [
        { type: "email", address: unique(" Ada.%@Example.ORG"), primary: true, externalUserId: "u1" },
        { type: "telegram", address: unique("@%") },
      ],
    });
    expect(created).toMatchObject({ displayName: "Ada", role: "contact", version: 1n });
    expect(created.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(Math.abs(Number(created.createTime?.seconds) - Date.now() / 1_000)).toBeLessThan(60);
    const [email, telegram] = created.channels;
    expect(email).toMatchObject({
      contactId: created.id,
      type: "email",
      address: expect.stringMatching(/^ada\..*@example\.org$/),
      primary: true,
      externalUserId: "u1",
      externalChatId: "",
      status: ChannelStatus.UNVERIFIED,
      policy: ChannelPolicy.ALLOW,
      interactionCount: 0n,
      version: 1n,
    });
    expect(telegram).toMatchObject({ primary: false });
    expect(await rig.get(created.id)).toEqual(created);
  });

  it("takes an id that the caller chose, and changes the contact that has it", async () => {
    const id = randomUUID();
    const created = await rig.upsert({ id: id.toUpperCase(), displayName: "Ada" });
    expect(created).toMatchObject({ id, channels: [] });
    expect(await rig.upsert({ id, displayName: "Ada L." })).toMatchObject({
      id,
      displayName: "Ada L.",
      version: 2n,
    });
    expect(await rig.upsert({ id })).toMatchObject({ displayName: "Ada L.", createTime: created.createTime });
  });

  it("changes the contact that owns an address, and leaves of a channel what isn't said", async () => {
    const given = { type: "phone", address: uniqueNumber(), externalUserId: "u1", primary: true };
    const { id, channels } = await rig.upsert({ displayName: "Ada", channels: [given] });
    await rig.contacts.updateContactChannel({
      id: channels[0]!.id,
      status: ChannelStatus.BLOCKED,
      reason: "spam",
    });
    const changed = await rig.upsert({
      channels: [
        { type: "phone", address: given.address.replaceAll(/(\d\d)/g, "$1 "), externalChatId: "c1" },
        { type: "sms", address: given.address },
      ],
    });
    expect(changed).toMatchObject({ id, displayName: "Ada" });
    expect(changed.channels).toHaveLength(2);
    expect(changed.channels[0]).toMatchObject({
      id: channels[0]!.id,
      externalUserId: "u1",
      externalChatId: "c1",
      primary: true,
      status: ChannelStatus.BLOCKED,
      blockReason: "spam",
    });
  });

  it("keeps one primary channel of a type", async () => {
    const { id } = await rig.upsert({
      displayName: "Ada",
      channels: [
        { type: "email", address: unique("a%@example.org"), primary: true },
        { type: "telegram", address: unique("@%"), primary: true },
      ],
    });
    const second = unique("b%@example.org");
    const changed = await rig.upsert({ id, channels: [{ type: "email", address: second, primary: true }] });
    const primaries = changed.channels.filter(({ primary }) => primary);
    expect(primaries.map(({ type }) => type)).toEqual(["email", "telegram"]);
    expect(primaries[0]?.address).toBe(second);
  });

  it("refuses an address that another contact owns, and changes nothing", async () => {
    const taken = { type: "email", address: unique("%@example.org") };
    const owner = await rig.upsert({ displayName: "Ada", channels: [taken] });
    const other = await rig.upsert({ displayName: "Bob" });
    const channels = [{ type: "telegram", address: unique("@%") }, taken];
    const refused = rig.contacts.upsertContact({ id: other.id, displayName: "Eve", channels });
    await expect(refused).rejects.toMatchObject({
      reason: "UNIQUE_VIOLATION",
      outcome: "NOT_COMMITTED",
      message: `channels[1].address belongs to the contact ${owner.id}: nothing was changed.`,
      fields: [{ field: "channels[1].address" }],
    });
    const unknown = randomUUID();
    await expect(
      rig.contacts.upsertContact({ id: unknown, displayName: "Eve", channels }),
    ).rejects.toMatchObject({
      reason: "UNIQUE_VIOLATION",
    });
    await expect(rig.get(unknown)).rejects.toMatchObject({ reason: "CONTACT_NOT_FOUND" });
    expect([await rig.get(owner.id), await rig.get(other.id)]).toEqual([owner, other]);
  });

  it("refuses addresses of two contacts", async () => {
    const [a, b] = [unique("@a%"), unique("@b%")].map((address) => ({ type: "telegram", address }));
    const owners = [
      await rig.upsert({ displayName: "Ada", channels: [a!] }),
      await rig.upsert({ displayName: "Bob", channels: [b!] }),
    ];
    const refused = rig.contacts.upsertContact({ displayName: "Eve", channels: [a!, b!] });
    await expect(refused).rejects.toMatchObject({
      reason: "UNIQUE_VIOLATION",
      message: expect.stringContaining(owners[1]!.id),
    });
    expect(await Promise.all(owners.map(({ id }) => rig.get(id)))).toEqual(owners);
  });

  it("refuses another version than the expected one, and takes the expected one", async () => {
    const { id, version } = await rig.upsert({ displayName: "Ada" });
    const changed = await rig.upsert({ id, displayName: "Ada L.", expectedVersion: version });
    expect(changed.version).toBe(version + 1n);
    const stale = rig.contacts.upsertContact({ id, displayName: "Eve", expectedVersion: version });
    await expect(stale).rejects.toMatchObject({
      reason: "STALE_VERSION",
      fields: [{ field: "expected_version" }],
    });
    const again = rig.contacts.upsertContact({ id, displayName: "Eve", expectedVersion: 0n });
    await expect(again).rejects.toMatchObject({ reason: "STALE_VERSION" });
    const gone = rig.contacts.upsertContact({ id: randomUUID(), displayName: "Eve", expectedVersion: 1n });
    await expect(gone).rejects.toMatchObject({ reason: "CONTACT_NOT_FOUND" });
    expect(await rig.upsert({ id: randomUUID(), displayName: "Eve", expectedVersion: 0n })).toMatchObject({
      version: 1n,
    });
  });

  it("has one effect and one answer under a request_id, also where the contact has changed since", async () => {
    const requestId = newRequestId();
    const request = {
      requestId,
      displayName: "Ada",
      channels: [{ type: "telegram", address: unique("@%"), primary: true }],
    };
    const sent = await Promise.all([1, 2, 3].map(() => patiently(() => rig.upsert(request))));
    const first = await rig.upsert(request);
    expect(sent).toEqual([first, first, first]);
    await rig.upsert({ id: first.id, displayName: "Ada L." });
    expect(await rig.upsert(request)).toEqual(first);
    expect(await rig.get(first.id)).toMatchObject({ displayName: "Ada L.", version: 2n });
    const other = rig.contacts.upsertContact({ ...request, displayName: "Eve" });
    await expect(other).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
  });

  it("lets a request_id be sent again when what refused it is out of the way", async () => {
    const taken = { type: "telegram", address: unique("@%") };
    const owner = await rig.upsert({ displayName: "Ada", channels: [taken] });
    const request = { requestId: newRequestId(), id: randomUUID(), displayName: "Bob", channels: [taken] };
    for (let time = 0; time < 2; time += 1) {
      await expect(rig.contacts.upsertContact(request)).rejects.toMatchObject({ reason: "UNIQUE_VIOLATION" });
    }
    await rig.contacts.deleteContact({ id: owner.id });
    const written = await rig.upsert(request);
    expect(written).toMatchObject({ id: request.id, displayName: "Bob" });
    expect(await rig.upsert(request)).toEqual(written);
  });

  it("makes one contact of many that come at once for the same address", async () => {
    const addresses = [unique("@a%"), unique("@b%")];
    const found = await Promise.all(
      Array.from({ length: 8 }, (_, index) => {
        const order = index % 2 === 0 ? addresses : addresses.toReversed();
        const channels = order.map((address) => ({ type: "telegram", address }));
        return rig.upsert({ displayName: `Ada ${index}`, channels });
      }),
    );
    expect(new Set(found.map(({ id }) => id)).size).toBe(1);
    expect(new Set(found.map(({ version }) => version))).toEqual(new Set([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]));
    const names = await inDatabase("SELECT id FROM contacts WHERE display_name LIKE 'Ada _'");
    expect(names).toHaveLength(1);
    await rig.contacts.deleteContact({ id: found[0]!.id });
  });

  it("changes a contact or finds it deleted, and never brings it back without a name", async () => {
    for (let round = 0; round < 10; round += 1) {
      const address = unique("@%");
      const { id, channels } = await rig.upsert({
        displayName: "Ada",
        channels: [{ type: "telegram", address }],
      });
      const further = { type: "sms", address: uniqueNumber() };
      const [changed, verified] = await Promise.allSettled([
        rig.contacts.upsertContact({ id, channels: [{ type: "telegram", address }, further] }),
        rig.contacts.updateContactChannel({ id: channels[0]!.id, status: ChannelStatus.ACTIVE }),
        rig.contacts.deleteContact({ id }),
      ]);
      if (changed.status === "rejected") expect(changed.reason).toMatchObject({ reason: "INVALID_REQUEST" });
      if (verified.status === "rejected")
        expect(verified.reason).toMatchObject({ reason: "CHANNEL_NOT_FOUND" });
      await expect(rig.get(id)).rejects.toMatchObject({ reason: "CONTACT_NOT_FOUND" });
    }
    expect(await inDatabase("SELECT FROM contacts WHERE display_name = ''")).toEqual([]);
  });

  it.each<[string, Parameters<ContactsRig["upsert"]>[0], string]>([
    ["no name for a new contact", { id: randomUUID() }, "display_name"],
    ["neither", {}, "display_name"],
    ["a name that is too long", { displayName: "a".repeat(201) }, "display_name"],
    ["an id that is none", { id: "ada", displayName: "Ada" }, "id"],
    ["a request_id that is none", { requestId: randomUUID(), displayName: "Ada" }, "request_id"],
    ["a type that is none", { channels: [{ type: "E-Mail", address: "a@b.example" }] }, "channels[0].type"],
    ["an address that is none", { channels: [{ type: "phone", address: "110" }] }, "channels[0].address"],
    [
      "an address twice",
      { channels: ["a@b.example", "A@B.example"].map((address) => ({ type: "email", address })) },
      "channels[1].address",
    ],
    [
      "two primary channels of a type",
      { channels: ["@a", "@b"].map((address) => ({ type: "telegram", address, primary: true })) },
      "channels[1].primary",
    ],
    [
      "an external id that is too long",
      { channels: [{ type: "telegram", address: "@a", externalUserId: "a".repeat(257) }] },
      "channels[0].external_user_id",
    ],
    ["a negative version", { displayName: "Ada", expectedVersion: -1n }, "expected_version"],
  ])("refuses %s, and names the field", async (_, request, field) => {
    await expect(rig.contacts.upsertContact(request)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      outcome: "NOT_COMMITTED",
      fields: [{ field }],
    });
  });
});

/** As a caller does it: what may succeed later is sent again. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  return waitFor(
    () =>
      call().catch((error: unknown) => {
        if (error instanceof HandlerError && error.retryable) return undefined;
        throw error;
      }),
    { describe: "the same request to be through" },
  );
}
