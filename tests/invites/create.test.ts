import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { InviteStatus } from "@tandem/contract/tandem/invite/v1/invite";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient, type HandlerError } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createInvitesRig, type InvitesRig, sides, unique, uniqueNumber } from "./invites-rig.ts";

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
  const week = 7 * 24 * 3_600;
  const lifetimeOf = ({ createTime, expireTime }: Awaited<ReturnType<InvitesRig["get"]>>): number =>
    Number(expireTime?.seconds) - Number(createTime?.seconds);

  describe("CreateInvite", () => {
    it("gives an invite of one use and seven days, with a token and a code", async () => {
      const { invite, secrets } = await rig.create({ contactId, sourceChannel: "telegram", note: "hi" });
      expect(invite).toMatchObject({
        contactId,
        sourceChannel: "telegram",
        status: InviteStatus.ACTIVE,
        maxUses: 1,
        useCount: 0,
        note: "hi",
        version: 1n,
      });
      expect(lifetimeOf(invite)).toBe(week);
      expect(secrets).toMatchObject({
        token: expect.stringMatching(/^[\w-]{43}$/) as string,
        code: expect.stringMatching(/^\d{6}$/) as string,
        voiceCode: "",
      });
      expect(await rig.get(invite.id)).toEqual(invite);
    });

    it("gives a voice code on the phone, bound to a number, and nothing else", async () => {
      const expectedExternalUserId = uniqueNumber();
      const given = { contactId, sourceChannel: "phone", expectedExternalUserId };
      const { invite, secrets } = await rig.create(given);
      expect(invite).toMatchObject({ expectedExternalUserId, voiceCodeDigits: 6 });
      expect(secrets).toMatchObject({
        token: "",
        code: "",
        voiceCode: expect.stringMatching(/^\d{6}$/) as string,
      });
    });

    it("keeps no secret in the database", async () => {
      const { invite, secrets } = await rig.create({ contactId, sourceChannel: "telegram" });
      const [row] = await rig.inDatabase(
        `SELECT to_jsonb(i)::text AS text FROM ${rig.table()} i WHERE id = '${invite.id}'`,
      );
      expect(row?.["text"]).toContain(invite.id);
      for (const secret of [secrets.token, secrets.code]) expect(row?.["text"]).not.toContain(secret);
    });

    it("takes as many uses, as long a life and the id that are asked for", async () => {
      const id = randomUUID();
      const timeToLive = { seconds: BigInt(365 * 24 * 3_600), nanos: 0 };
      const given = { id, contactId, sourceChannel: "slack", maxUses: 10, timeToLive };
      const { invite } = await rig.create(given);
      expect(invite).toMatchObject({ id, maxUses: 10 });
      expect(lifetimeOf(invite)).toBe(365 * 24 * 3_600);
    });

    it.each<[string, object, string]>([
      ["no channel", { sourceChannel: "" }, "source_channel"],
      ["a channel of other letters", { sourceChannel: "Telegram" }, "source_channel"],
      ["a channel of 65 letters", { sourceChannel: "a".repeat(65) }, "source_channel"],
      ["the channel of other assistants", { sourceChannel: "a2a" }, "source_channel"],
      ["fewer uses than one", { maxUses: -1 }, "max_uses"],
      ["no life at all", { timeToLive: { seconds: 0n, nanos: 0 } }, "time_to_live"],
      ["a life of more than a year", { timeToLive: { seconds: 31_536_001n, nanos: 0 } }, "time_to_live"],
      ["the phone without a number", { sourceChannel: "phone" }, "expected_external_user_id"],
      ["no contact", { contactId: "" }, "contact_id"],
    ])("refuses %s", async (_, given, field) => {
      const refused = rig.create({ contactId, sourceChannel: "telegram", ...given });
      await expect(refused).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        fields: [{ field: `invite.${field}` }],
      });
    });

    it("needs a contact that is there, and takes the same request when it is", async () => {
      const id = randomUUID();
      const request = { requestId: newRequestId(), invite: { contactId: id, sourceChannel: "telegram" } };
      for (const _ of [1, 2]) {
        await expect(rig.invites.createInvite(request)).rejects.toMatchObject({
          reason: "CONTACT_NOT_FOUND",
          outcome: "NOT_COMMITTED",
        });
      }
      await rig.contacts.upsertContact({ id, displayName: "Ada" });
      const created = await rig.invites.createInvite(request);
      expect(created.invite).toMatchObject({ contactId: id });
      expect(await rig.invites.createInvite(request)).toEqual(created);
    });

    it("gives each copy of a request the same invite and secrets, also those at once", async () => {
      const invite = { contactId, sourceChannel: "telegram", note: unique("copies %") };
      const request = { requestId: newRequestId(), invite };
      const copies = await Promise.all(Array.from({ length: 8 }, () => rig.invites.createInvite(request)));
      await rig.invites.revokeInvite({ id: copies[0]?.invite?.id ?? "" });
      copies.push(await rig.invites.createInvite(request));
      for (const copy of copies) expect(copy).toEqual(copies[0]);
      const [count] = await rig.inDatabase(
        `SELECT count(*)::int AS count FROM ${rig.table()} WHERE note = '${invite.note}'`,
      );
      expect(count).toEqual({ count: 1 });
      const other = { ...request, invite: { ...invite, maxUses: 2 } };
      await expect(rig.invites.createInvite(other)).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
    });
  });

  describe("RevokeInvite", () => {
    it("revokes an invite once, and tells each copy of the request the same", async () => {
      const { invite } = await rig.create({ contactId, sourceChannel: "telegram" });
      const request = { id: invite.id, requestId: newRequestId() };
      const copies = await Promise.all(Array.from({ length: 6 }, () => rig.invites.revokeInvite(request)));
      copies.push(await rig.invites.revokeInvite(request));
      copies.push(await rig.invites.revokeInvite({ id: invite.id }));
      for (const { invite: revoked } of copies) {
        expect(revoked).toMatchObject({ id: invite.id, status: InviteStatus.REVOKED, version: 2n });
      }
    });

    it("leaves an invite as it is that is over otherwise", async () => {
      const { invite, secrets } = await rig.create({ contactId, sourceChannel: "telegram" });
      const redeemer = { sourceChannel: "telegram", externalUserId: unique("@%") };
      await rig.invites.redeemInvite({ secret: { case: "code", value: secrets.code }, ...redeemer });
      const left = await rig.invites.revokeInvite({ id: invite.id });
      expect(left.invite).toMatchObject({ status: InviteStatus.REDEEMED, version: 2n });
    });

    it("says that there is none", async () => {
      for (const call of [rig.invites.revokeInvite, rig.invites.getInvite]) {
        await expect(call({ id: randomUUID() })).rejects.toMatchObject({ reason: "INVITE_NOT_FOUND" });
        await expect(call({ id: "1" })).rejects.toMatchObject({
          reason: "INVALID_REQUEST",
          fields: [{ field: "id" }],
        });
      }
    });
  });

  describe("ListInvites", () => {
    it("gives the newest first, each once, page by page, while others come", async () => {
      const { id } = await rig.createContact();
      const made: string[] = [];
      for (const sourceChannel of ["telegram", "slack", "telegram", "slack", "telegram"]) {
        made.unshift((await rig.create({ contactId: id, sourceChannel })).invite.id);
      }
      const first = await rig.invites.listInvites({ contactId: id, pageSize: 2 });
      await rig.create({ contactId: id, sourceChannel: "telegram" });
      await rig.invites.revokeInvite({ id: made[3]! });
      const { nextPageToken: pageToken } = first;
      const second = await rig.invites.listInvites({ contactId: id, pageSize: 3, pageToken });
      expect([...first.invites, ...second.invites].map((invite) => invite.id)).toEqual(made);
      expect(second.nextPageToken).toBe("");
    });

    it("gives those of a channel, of a status, of both", async () => {
      const { id } = await rig.createContact();
      const telegram = await rig.create({ contactId: id, sourceChannel: "telegram" });
      const slack = await rig.create({ contactId: id, sourceChannel: "slack" });
      const revoked = await rig.create({ contactId: id, sourceChannel: "slack" });
      await rig.invites.revokeInvite({ id: revoked.invite.id });
      const list = async (filter: Parameters<typeof rig.invites.listInvites>[0]): Promise<string[]> =>
        (await rig.invites.listInvites({ contactId: id, ...filter })).invites.map((invite) => invite.id);
      expect(await list({ sourceChannel: "telegram" })).toEqual([telegram.invite.id]);
      expect(await list({ status: InviteStatus.ACTIVE })).toEqual([slack.invite.id, telegram.invite.id]);
      expect(await list({ sourceChannel: "slack", status: InviteStatus.REVOKED })).toEqual([
        revoked.invite.id,
      ]);
      expect(await list({ sourceChannel: "nothing" })).toEqual([]);
    });

    it("gives a hundred where it isn't said how many, a thousand at most, and fewer of large ones", async () => {
      const { id } = await rig.createContact();
      const fill = (note: string, count: number) =>
        rig.inDatabase(`
          SET session_replication_role = replica;
          INSERT INTO ${rig.table()} (id, contact_id, source_channel, key_id, expires_at, note)
          SELECT gen_random_uuid(), '${id}', 'telegram', 'k', now() + interval '1 day', ${note}
          FROM generate_series(1, ${count})`);
      await fill("'small'", 1_003);
      expect((await rig.invites.listInvites({ contactId: id })).invites).toHaveLength(100);
      const most = await rig.invites.listInvites({ contactId: id, pageSize: 1_000_000 });
      expect(most.invites).toHaveLength(1_000);
      await fill("repeat('x', 4096)", 997);
      const seen = new Set<string>();
      let pages = 0;
      for (let pageToken = ""; pages === 0 || pageToken !== ""; pages += 1) {
        const page = await rig.invites.listInvites({ contactId: id, pageSize: 1_000, pageToken });
        for (const invite of page.invites) seen.add(invite.id);
        pageToken = page.nextPageToken;
      }
      expect(seen.size).toBe(2_000);
      expect(pages).toBeGreaterThan(2);
      await rig.inDatabase(`SET session_replication_role = replica; DELETE FROM ${rig.table()}`);
    });

    it.each<[string, object, string]>([
      ["a token that it didn't give", { pageToken: "next" }, "page_token"],
      [
        "a token that says no time",
        { pageToken: Buffer.from(`2026-99-99 10:00+00 ${randomUUID()}`).toString("base64url") },
        "page_token",
      ],
      ["a negative size", { pageSize: -1 }, "page_size"],
      ["what is no contact", { contactId: "1" }, "contact_id"],
      ["a status of tomorrow", { status: 17 }, "status"],
    ])("refuses %s", async (_, request, field) => {
      const refused = rig.invites.listInvites(request);
      await expect(refused).rejects.toMatchObject({ reason: "INVALID_REQUEST", fields: [{ field }] });
    });
  });
});

it("an invite is found by a key that was replaced, for as long as the key is there", async () => {
  await rig.letDecide("gateway");
  const { id: contactId } = await rig.createContact();
  const { secrets } = await rig.create({ contactId, sourceChannel: "telegram", maxUses: 2 });
  const secret = { case: "code", value: secrets.code } as const;
  const redemption = { secret, sourceChannel: "telegram" };
  const before = JSON.parse(await readFile(new URL("../invite-keys.json", import.meta.url), "utf8")) as {
    keys: object[];
  };
  const newKey = { id: "new", derive: newSecret(), hash: newSecret() };
  const folder = await mkdtemp(join(tmpdir(), "tandem-invite-keys-"));
  const file = join(folder, "keys.json");
  const setKeys = (keys: object[]) =>
    writeFile(file, JSON.stringify({ current: "new", keys }), { mode: 0o600 });
  await setKeys([newKey, ...before.keys]);
  const gateway = await rig.startGateway({ TANDEM_INVITE_KEYS_FILE: file });
  const channel = createChannel({ address: await gateway.address() });
  const { createInvite, redeemInvite } = createClient(Invites, channel);
  const redeemed = await redeemInvite({ ...redemption, externalUserId: unique("@%") });
  expect(redeemed.invite).toMatchObject({ useCount: 1 });
  const { secrets: made } = await createInvite({ invite: { contactId, sourceChannel: "telegram" } });
  const ofNew = { secret: { case: "code", value: made?.code ?? "" } as const, sourceChannel: "telegram" };
  // Whoever doesn't have the key that it was made with doesn't find it.
  const nowhere = rig.invites.redeemInvite({ ...ofNew, externalUserId: unique("@%") });
  await expect(nowhere).rejects.toMatchObject({ reason: "INVITE_INVALID" });
  await setKeys([newKey]);
  const isGone = () =>
    redeemInvite({ ...redemption, externalUserId: unique("@%") }).then(
      ({ invite }) => expect.fail(`It was found: ${invite?.useCount} uses.`),
      (error: unknown) => (error as HandlerError).reason === "INVITE_INVALID",
    );
  // The invite has one more use, and is found until the file was read again.
  await rig.inDatabase(`UPDATE ingress_invites SET max_uses = 1000 WHERE id = '${redeemed.invite?.id}'`);
  await waitFor(isGone, { describe: "the key to be gone" });
  await redeemInvite({ ...ofNew, externalUserId: unique("@%") });
  channel.close();
  await rm(folder, { recursive: true });
});

const newSecret = (): string => randomBytes(32).toString("base64url");
