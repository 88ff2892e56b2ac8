import { ChannelStatus } from "@tandem/contract/tandem/gateway/v1/contacts";
import { RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { InviteStatus } from "@tandem/contract/tandem/invite/v1/invite";
import { newRequestId } from "@tandem/dbproxy";
import { HandlerError } from "@tandem/rpc";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readInvitesConfig } from "./config.ts";
import { createInvitesRig, type InvitesRig, reasonOf, sides, unique } from "./invites-rig.ts";

const REDEEMERS = 50;
const { rounds } = readInvitesConfig();
const LONG_MS = 60_000 + rounds * 10_000;

let rig: InvitesRig;
beforeAll(async () => {
  rig = await createInvitesRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each(sides)("while the %s decides", (authority) => {
  beforeAll(() => rig.letDecide(authority));

  it(
    `${REDEEMERS} redeemers at once, some of them twice, some just being blocked, never get more uses than there are`,
    async () => {
      const told = new Map<string, number>();
      for (let round = 0; round < rounds; round += 1) {
        const maxUses = [1, 2, 10][round % 3]!;
        for (const outcome of await redeemAtOnce(maxUses)) told.set(outcome, (told.get(outcome) ?? 0) + 1);
      }
      const expected = ["REDEEMED", "ALREADY_MEMBER", "INVITE_EXHAUSTED", "INVITE_INVALID"];
      expect(expected, JSON.stringify([...told])).toEqual(expect.arrayContaining([...told.keys()]));
      expect(told.get("REDEEMED")).toBeGreaterThan(0);
    },
    LONG_MS,
  );

  /** A round; says what each was told. */
  async function redeemAtOnce(maxUses: number): Promise<readonly string[]> {
    const { id: contactId } = await rig.createContact();
    const { invite, secrets } = await rig.create({ contactId, sourceChannel: "telegram", maxUses });
    const secret = { case: "code", value: secrets.code } as const;
    const people = Array.from({ length: REDEEMERS - 8 }, () => unique("@%"));
    // Those that are blocked meanwhile are somebody's already.
    const doomed = people.slice(0, 6);
    const { channels } = await rig.createContact(doomed.map((address) => ({ type: "telegram", address })));
    // Some come twice: some as another request, some as a copy of the same one.
    const requestIds = new Map(people.slice(10, 14).map((person) => [person, newRequestId()]));
    const coming = shuffled([...people, ...people.slice(6, 14)]);
    const blocking = channels.map(({ id }) =>
      rig.contacts.updateContactChannel({ id, status: ChannelStatus.BLOCKED }),
    );
    const redeeming = coming.map(async (externalUserId) => {
      const requestId = requestIds.get(externalUserId) ?? "";
      const request = { secret, sourceChannel: "telegram", externalUserId, requestId };
      return rig.invites.redeemInvite(request).then(
        ({ outcome }) => (outcome === RedeemOutcome.REDEEMED ? "REDEEMED" : "ALREADY_MEMBER"),
        (error: unknown) => (error instanceof HandlerError ? error.reason : String(error)),
      );
    });
    const told = await Promise.all(redeeming);
    await Promise.all(blocking);

    const left = await rig.get(invite.id);
    expect(left.useCount).toBe(maxUses);
    expect(left.status).toBe(InviteStatus.REDEEMED);
    const gained = await rig.inDatabase(
      `SELECT address, status FROM contact_channels WHERE contact_id = '${contactId}' AND verified_via = 'invite'`,
    );
    // One that got in was blocked right then, maybe.
    expect(gained).toHaveLength(maxUses);
    const redeemed = new Set(coming.filter((_, index) => told[index] === "REDEEMED"));
    expect(new Set(gained.map(({ address }) => address))).toEqual(redeemed);
    // A copy is told what its request was told, another request that they are in.
    const copies = [...requestIds.keys()];
    const times = told.filter(
      (outcome, index) => outcome === "REDEEMED" && !copies.includes(coming[index] ?? ""),
    );
    expect(times.length).toBeLessThanOrEqual(maxUses);
    return told;
  }

  it("invites of one contact are redeemed at once without being in each other's way, or that of its deletion", async () => {
    const { id: contactId } = await rig.createContact();
    const create = () => rig.create({ contactId, sourceChannel: "telegram" });
    const made = await Promise.all(Array.from({ length: 16 }, create));
    const redeemAll = (invites: typeof made) =>
      invites.map(({ secrets }) =>
        reasonOf(
          rig.invites.redeemInvite({
            secret: { case: "code", value: secrets.code },
            sourceChannel: "telegram",
            externalUserId: unique("@%"),
          }),
        ),
      );
    const began = performance.now();
    const reasons = await Promise.all([
      ...redeemAll(made.slice(0, 12)),
      ...Array.from({ length: 4 }, () => reasonOf(create())),
    ]);
    expect(new Set(reasons)).toEqual(new Set(["OK"]));
    // No deadlock was waited for.
    expect(performance.now() - began).toBeLessThan(5_000);
    const { contact } = await rig.contacts.getContact({ id: contactId });
    expect(contact?.channels).toHaveLength(12);
    const last = await Promise.all([
      ...redeemAll(made.slice(12)),
      reasonOf(rig.contacts.deleteContact({ id: contactId })),
    ]);
    expect(last.pop()).toBe("OK");
    expect(["OK", "INVITE_INVALID"]).toEqual(expect.arrayContaining(last));
    expect(await rig.inDatabase(`SELECT FROM ${rig.table()} WHERE contact_id = '${contactId}'`)).toEqual([]);
  });

  it("people who trade places at once get theirs, each once", async () => {
    // Channels that change hands lock two contacts, in whatever order they come.
    const [one, other] = [await rig.createContact(), await rig.createContact()];
    const addresses = Array.from({ length: 6 }, () => unique("@%"));
    for (const { id } of [one, other]) {
      const own = addresses.slice(id === one.id ? 0 : 3, id === one.id ? 3 : 6);
      await rig.contacts.upsertContact({
        id,
        channels: own.map((address) => ({ type: "telegram", address })),
      });
    }
    const trades = addresses.map(async (externalUserId, index) => {
      const { secrets } = await rig.create({
        contactId: index < 3 ? other.id : one.id,
        sourceChannel: "telegram",
      });
      return { secret: { case: "code", value: secrets.code } as const, externalUserId };
    });
    const reasons = (await Promise.all(trades)).map((trade) =>
      reasonOf(rig.invites.redeemInvite({ ...trade, sourceChannel: "telegram" })),
    );
    expect(await Promise.all(reasons)).toEqual(addresses.map(() => "OK"));
    for (const [index, address] of addresses.entries()) {
      expect(await rig.channelAt("telegram", address)).toMatchObject({
        contact_id: index < 3 ? other.id : one.id,
        status: "active",
      });
    }
  });
});

function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
