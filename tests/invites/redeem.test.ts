import { ChannelPolicy, ChannelStatus } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Invites, RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { InviteStatus } from "@tandem/contract/tandem/invite/v1/invite";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient, type HandlerError } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createInvitesRig,
  type InvitesRig,
  otherThan,
  reasonOf,
  sides,
  unique,
  uniqueNumber,
} from "./invites-rig.ts";

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

  /** An invite, and what shows its code. */
  async function invited(given: { readonly maxUses?: number; readonly sourceChannel?: string } = {}) {
    const sourceChannel = given.sourceChannel ?? "telegram";
    const { invite, secrets } = await rig.create({ contactId, sourceChannel, ...given });
    const code = { case: "code", value: secrets.code } as const;
    return { id: invite.id, secrets, code, show: { secret: code, sourceChannel } };
  }
  async function usesOf(id: string): Promise<number> {
    return (await rig.get(id)).useCount;
  }
  const redeem = (request: Parameters<typeof rig.invites.redeemInvite>[0]) =>
    rig.invites.redeemInvite(request);

  describe("an invite", () => {
    it.each(["code", "token"] as const)("lets in whoever shows its %s, once", async (kind) => {
      const { id, secrets } = await invited();
      const [externalUserId, externalChatId] = [unique("@%"), unique("chat %")];
      const secret = { case: kind, value: secrets[kind] };
      const request = { secret, sourceChannel: "telegram", externalUserId, externalChatId };
      const { invite, ...redeemed } = await redeem(request);
      expect(redeemed).toMatchObject({ contactId, outcome: RedeemOutcome.REDEEMED });
      expect(invite).toEqual(await rig.get(id));
      expect(invite).toMatchObject({
        id,
        status: InviteStatus.REDEEMED,
        useCount: 1,
        redemption: { externalUserId, externalChatId },
      });
      expect(await rig.channelAt("telegram", externalUserId)).toMatchObject({
        id: redeemed.contactChannelId,
        contact_id: contactId,
        external_user_id: externalUserId,
        external_chat_id: externalChatId,
        status: "active",
        policy: "allow",
        verified_via: "invite",
        is_primary: false,
      });
      expect(await reasonOf(redeem({ ...request, externalUserId: unique("@%") }))).toBe("INVITE_EXHAUSTED");
    });

    it("of two uses lets two in, and stays live in between", async () => {
      const { id, show } = await invited({ maxUses: 2 });
      await redeem({ ...show, externalUserId: unique("@%") });
      expect(await rig.get(id)).toMatchObject({ status: InviteStatus.ACTIVE, useCount: 1 });
      await redeem({ ...show, externalChatId: unique("chat %") });
      expect(await rig.get(id)).toMatchObject({ status: InviteStatus.REDEEMED, useCount: 2 });
      expect(await reasonOf(redeem({ ...show, externalUserId: unique("@%") }))).toBe("INVITE_EXHAUSTED");
    });

    it("takes a code as people type it", async () => {
      const { show, secrets } = await invited();
      const value = ` ${secrets.code.slice(0, 3)}-${secrets.code.slice(3)}`;
      await redeem({ ...show, secret: { case: "code", value }, externalUserId: unique("@%") });
    });

    it("gives a channel the address that its contact is known by", async () => {
      const { show } = await invited({ sourceChannel: "email" });
      const name = unique("ada-%");
      const shown = await redeem({ ...show, externalUserId: ` ${name.toUpperCase()}@BÜCHER.example` });
      expect(shown.outcome).toBe(RedeemOutcome.REDEEMED);
      expect(await rig.channelAt("email", `${name}@xn--bcher-kva.example`)).toMatchObject({
        id: shown.contactChannelId,
        status: "active",
      });
      expect(await reasonOf(redeem({ ...show, externalUserId: "ada" }))).toBe("INVALID_REQUEST");
    });

    it("changes neither role nor name of its contact", async () => {
      const { show } = await invited();
      await rig.inDatabase(`UPDATE contacts SET role = 'guardian' WHERE id = '${contactId}'`);
      await redeem({ ...show, externalUserId: unique("@%"), displayName: "Eve" });
      const { contact } = await rig.contacts.getContact({ id: contactId });
      expect(contact).toMatchObject({ displayName: "Ada", role: "guardian" });
    });

    it("is told of, and of its hashes nothing", async () => {
      const { show } = await invited();
      const { invite } = await redeem({ ...show, externalUserId: unique("@%") });
      expect(Object.keys(invite ?? {}).filter((name) => /hash|secret|token/i.test(name))).toEqual([]);
    });
  });

  describe("a channel", () => {
    it("that is in already is told so, and spends no use", async () => {
      const { id, show } = await invited({ maxUses: 2 });
      const externalUserId = unique("@%");
      const first = await redeem({ ...show, externalUserId });
      for (const given of [{}, { requestId: newRequestId() }]) {
        const again = await redeem({ ...show, ...given, externalUserId });
        expect(again).toMatchObject({
          outcome: RedeemOutcome.ALREADY_MEMBER,
          contactChannelId: first.contactChannelId,
          contactId,
        });
      }
      expect(await usesOf(id)).toBe(1);
    });

    it("that is blocked stays out, whosever it is", async () => {
      for (const owner of [contactId, (await rig.createContact()).id]) {
        const { id, show } = await invited();
        const address = unique("@%");
        const channels = [{ type: "telegram", address, externalUserId: unique("user %") }];
        const { contact } = await rig.contacts.upsertContact({ id: owner, channels });
        const channel = contact?.channels.find((one) => one.address === address);
        await rig.contacts.updateContactChannel({ id: channel!.id, status: ChannelStatus.BLOCKED });
        expect(await reasonOf(redeem({ ...show, externalUserId: address }))).toBe("INVITE_INVALID");
        // Nor under the id by which the channel knows them.
        const { externalUserId } = channel!;
        expect(await reasonOf(redeem({ ...show, externalUserId }))).toBe("INVITE_INVALID");
        expect(await usesOf(id)).toBe(0);
        expect(await rig.channelAt("telegram", address)).toMatchObject({ status: "blocked" });
        expect(await rig.channelAt("telegram", externalUserId)).toBeUndefined();
      }
    });

    it("of another contact becomes this one's, which keeps the primary one that it has", async () => {
      const { show } = await invited();
      const [own, address] = [unique("@%"), unique("@%")];
      await rig.contacts.upsertContact({
        id: contactId,
        channels: [{ type: "telegram", address: own, primary: true }],
      });
      const { contact: other } = await rig.contacts.upsertContact({
        displayName: "Bob",
        channels: [{ type: "telegram", address, primary: true }],
      });
      const [channel] = other!.channels;
      await rig.contacts.updateContactChannel({
        id: channel!.id,
        status: ChannelStatus.ACTIVE,
        policy: ChannelPolicy.DENY,
      });
      const redeemed = await redeem({ ...show, externalUserId: address });
      expect(redeemed).toMatchObject({ contactId, contactChannelId: channel!.id });
      expect(await rig.channelAt("telegram", address)).toMatchObject({
        contact_id: contactId,
        status: "active",
        policy: "allow",
        is_primary: false,
      });
      expect((await rig.contacts.getContact({ id: other!.id })).contact?.channels).toEqual([]);
    });

    it.each([
      ["revoked", ChannelStatus.REVOKED],
      ["unverified", undefined],
    ])("that is %s is active again", async (_, status) => {
      const { show } = await invited();
      const address = unique("@%");
      const { contact } = await rig.contacts.upsertContact({
        id: contactId,
        channels: [{ type: "telegram", address }],
      });
      const id = contact!.channels.find((channel) => channel.address === address)!.id;
      if (status !== undefined) {
        await rig.contacts.updateContactChannel({ id, status, reason: "left" });
      }
      expect(await redeem({ ...show, externalUserId: address })).toMatchObject({
        contactChannelId: id,
        outcome: RedeemOutcome.REDEEMED,
      });
      expect(await rig.channelAt("telegram", address)).toMatchObject({
        status: "active",
        revoked_reason: null,
        verified_via: "invite",
      });
    });
  });

  describe("a refusal", () => {
    it("says what is missing or can't be, before anything is looked up", async () => {
      const { id, show } = await invited();
      for (const [request, field] of [
        [{ ...show }, "external_user_id"],
        [{ ...show, externalUserId: "  " }, "external_user_id"],
        [{ ...show, externalUserId: "a".repeat(600) }, "external_user_id"],
        [{ sourceChannel: "telegram", externalUserId: "@a" }, "secret"],
        [{ ...show, sourceChannel: "a2a", externalUserId: "@a" }, "source_channel"],
        [{ ...show, requestId: "1", externalUserId: "@a" }, "request_id"],
      ] as const) {
        await expect(redeem(request)).rejects.toMatchObject({
          reason: "INVALID_REQUEST",
          fields: [{ field }],
        });
      }
      expect(await usesOf(id)).toBe(0);
    });

    it("says why, and spends no use", async () => {
      const revoked = await invited();
      await rig.invites.revokeInvite({ id: revoked.id });
      const expired = await invited();
      await rig.inDatabase(
        `UPDATE ${rig.table()} SET expires_at = now() - interval '1 second' WHERE id = '${expired.id}'`,
      );
      const elsewhere = await invited({ sourceChannel: unique("slack-%") });
      const gone = await invited({ sourceChannel: unique("slack-%") });
      await rig.invites.revokeInvite({ id: gone.id });
      const by = { sourceChannel: "telegram" };
      for (const [{ id, show }, reason, given] of [
        [revoked, "INVITE_REVOKED", {}],
        [expired, "INVITE_EXPIRED", {}],
        [elsewhere, "INVITE_CHANNEL_MISMATCH", by],
        // Another live invite may have the code that it had.
        [gone, "INVITE_INVALID", by],
      ] as const) {
        for (const requestId of ["", newRequestId()]) {
          const refused = redeem({ ...show, ...given, requestId, externalUserId: unique("@%") });
          await expect(refused).rejects.toMatchObject({ reason, outcome: "NOT_COMMITTED" });
        }
        expect(await usesOf(id)).toBe(0);
      }
      const wrong = { case: "token", value: unique("%") } as const;
      const nowhere = redeem({ secret: wrong, sourceChannel: "telegram", externalUserId: unique("@%") });
      await expect(nowhere).rejects.toMatchObject({ reason: "INVITE_INVALID" });
    });

    it("is the same on the phone, whatever it is for", async () => {
      const caller = uniqueNumber();
      const phone = { contactId, sourceChannel: "phone", expectedExternalUserId: caller };
      const { invite, secrets } = await rig.create(phone);
      const secret = { case: "voiceCode", value: secrets.voiceCode } as const;
      const wrong = { case: "voiceCode", value: otherThan(secrets.voiceCode) } as const;
      const revoked = await rig.create({ ...phone, expectedExternalUserId: uniqueNumber() });
      await rig.invites.revokeInvite({ id: revoked.invite.id });
      const refusals = [
        { secret, sourceChannel: "phone", externalUserId: uniqueNumber() },
        { secret, sourceChannel: "phone", externalUserId: "anonymous" },
        { secret, sourceChannel: "phone", externalChatId: caller },
        { secret, sourceChannel: "telegram", externalUserId: caller },
        { secret: wrong, sourceChannel: "phone", externalUserId: caller },
        {
          secret: { case: "voiceCode", value: revoked.secrets.voiceCode } as const,
          sourceChannel: "phone",
          externalUserId: revoked.invite.expectedExternalUserId,
        },
      ];
      const told = await Promise.all(refusals.map((request) => toldOf(redeem(request))));
      for (const one of told) expect(one).toEqual(told[0]);
      expect(told[0]).toMatchObject({ reason: "INVITE_INVALID" });
      expect(await usesOf(invite.id)).toBe(0);
      const spaced = `${caller.slice(0, 3)} ${caller.slice(3, 6)}-${caller.slice(6)}`;
      const redeemed = await redeem({ secret, sourceChannel: "phone", externalUserId: spaced });
      expect(redeemed.outcome).toBe(RedeemOutcome.REDEEMED);
      expect(await rig.channelAt("phone", caller)).toMatchObject({ status: "active" });
    });
  });

  describe("a request that is sent again", () => {
    it("has one effect, also at once, and is told the same", async () => {
      const { id, show } = await invited({ maxUses: 3 });
      const request = { ...show, requestId: newRequestId(), externalUserId: unique("@%") };
      const copies = await Promise.all(Array.from({ length: 8 }, () => redeem(request)));
      expect(copies[0]?.outcome).toBe(RedeemOutcome.REDEEMED);
      copies.push(await redeem(request));
      for (const copy of copies) expect(copy).toEqual(copies[0]);
      expect(await usesOf(id)).toBe(1);
    });

    it("is told the same when others have used the invite up since, or it was revoked", async () => {
      for (const end of ["used up", "revoked"]) {
        const { id, show } = await invited({ maxUses: 2 });
        const request = { ...show, requestId: newRequestId(), externalUserId: unique("@%") };
        const first = await redeem(request);
        if (end === "revoked") await rig.invites.revokeInvite({ id });
        else await redeem({ ...show, requestId: newRequestId(), externalUserId: unique("@%") });
        expect(await redeem(request)).toEqual(first);
        const late = redeem({ ...request, requestId: newRequestId() });
        expect(await reasonOf(late)).toBe(end === "revoked" ? "INVITE_REVOKED" : "INVITE_EXHAUSTED");
      }
    });

    it("has its effect when what was in the way is gone", async () => {
      const { show } = await invited();
      const address = unique("@%");
      const { channels } = await rig.createContact([{ type: "telegram", address }]);
      const { id } = channels[0]!;
      await rig.contacts.updateContactChannel({ id, status: ChannelStatus.BLOCKED });
      const request = { ...show, requestId: newRequestId(), externalUserId: address };
      for (const _ of [1, 2]) expect(await reasonOf(redeem(request))).toBe("INVITE_INVALID");
      await rig.contacts.updateContactChannel({ id, status: ChannelStatus.REVOKED });
      const redeemed = await redeem(request);
      expect(redeemed).toMatchObject({ outcome: RedeemOutcome.REDEEMED, contactChannelId: id });
      expect(await redeem(request)).toEqual(redeemed);
    });

    it("asks for nothing else", async () => {
      const [one, other] = [await invited(), await invited()];
      const request = { requestId: newRequestId(), externalUserId: unique("@%") };
      await redeem({ ...one.show, ...request });
      expect(await reasonOf(redeem({ ...other.show, ...request }))).toBe("REQUEST_ID_REUSED");
      expect(await usesOf(other.id)).toBe(0);
    });
  });

  it("what has expired is marked by the time a gateway serves, and now and then", async () => {
    const { id, show } = await invited();
    await rig.inDatabase(`UPDATE ${rig.table()} SET expires_at = now() WHERE id = '${id}'`);
    expect(await reasonOf(redeem({ ...show, externalUserId: unique("@%") }))).toBe("INVITE_EXPIRED");
    await rig.startGateway();
    const marked = async () => (await rig.get(id)).status === InviteStatus.EXPIRED;
    await waitFor(marked, { describe: "the invite to be marked" });
    expect(await reasonOf(redeem({ ...show, externalUserId: unique("@%") }))).toBe("INVITE_EXPIRED");
  });
});

it("asks the database that decides by now before it says that there is no such invite", async () => {
  await rig.letDecide("assistant");
  const { id: contactId } = await rig.createContact();
  const made = await Promise.all([1, 2, 3].map(() => rig.create({ contactId, sourceChannel: "telegram" })));
  const believeOtherwise = async (): Promise<void> => {
    await rig.letDecide("gateway");
    await rig.setAuthority("assistant");
  };
  await believeOtherwise();
  expect(await rig.get(made[0]!.invite.id)).toEqual(made[0]!.invite);
  await believeOtherwise();
  const { invite } = await rig.invites.revokeInvite({ id: made[1]!.invite.id });
  expect(invite).toMatchObject({ status: InviteStatus.REVOKED });
  await believeOtherwise();
  const secret = { case: "code", value: made[2]!.secrets.code } as const;
  await rig.invites.redeemInvite({ secret, sourceChannel: "telegram", externalUserId: unique("@%") });
});

it("nobody may call it who isn't named", async () => {
  const closed = await rig.startGateway({ TANDEM_INVITES_CALLERS: "" });
  const at = createChannel({ address: await closed.address() });
  expect(await reasonOf(createClient(Invites, at).listInvites({}))).toBe("METHOD_NOT_ALLOWED");
  at.close();
});

/** All that a caller can see of a refusal. */
async function toldOf(calling: Promise<unknown>): Promise<unknown> {
  const error = await calling.then(
    () => expect.fail("It was not refused."),
    (refusal: unknown) => refusal as HandlerError,
  );
  const { code, reason, message, outcome, retryable, retryAfterMs, fields } = error;
  return { code, reason, message, outcome, retryable, retryAfterMs, fields };
}
