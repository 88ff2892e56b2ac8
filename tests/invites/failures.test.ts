import { RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { newRequestId } from "@tandem/dbproxy";
import { HandlerError } from "@tandem/rpc";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createInvitesRig, type InvitesRig, sides, unique } from "./invites-rig.ts";

// Every statement that a redemption or a creation consists of, its triggers' and COMMIT among them, fails in one of these
// ways: with an error of its own, each time, or once with the connection.
const ways = {
  fails: "PERFORM nextval('public.injections'); RAISE EXCEPTION 'injected'",
  "loses its connection": `
    IF nextval('public.injections') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF`,
};

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
    // What is marked for the mirror is taken from the outbox soon: this is what was ever there.
    await rig.inDatabase(`
      CREATE SEQUENCE injections;
      CREATE TABLE marked (aggregate text, id uuid, version bigint);
      CREATE FUNCTION keep_mark() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
          INSERT INTO public.marked VALUES (NEW.aggregate, NEW.id, NEW.version);
          RETURN NULL;
        END $$;
      CREATE TRIGGER keep_mark AFTER INSERT OR UPDATE OF version ON tandem.outbox
        FOR EACH ROW EXECUTE FUNCTION keep_mark()`);
  });
  let remove: (() => Promise<unknown>) | undefined;
  afterEach(async () => {
    await remove?.();
    remove = undefined;
  });

  /** Makes whatever is written there fail, until it is removed. */
  async function inject(way: keyof typeof ways, event: string, deferred = false): Promise<void> {
    const [, table = ""] = / ON (\S+)/.exec(event) ?? [];
    await rig.inDatabase(`
      ALTER SEQUENCE injections RESTART;
      CREATE OR REPLACE FUNCTION injected() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN ${ways[way]}; RETURN NEW; END $$;
      ${
        deferred
          ? `CREATE CONSTRAINT TRIGGER injected AFTER ${event} DEFERRABLE INITIALLY DEFERRED`
          : `CREATE TRIGGER injected BEFORE ${event}`
      } FOR EACH ROW EXECUTE FUNCTION injected()`);
    remove = async () => {
      await rig.inDatabase(`DROP TRIGGER injected ON ${table}`);
      // It has been there, and has failed.
      expect(await rig.inDatabase("SELECT is_called FROM injections")).toEqual([{ is_called: true }]);
    };
  }

  const ofRedemption = [
    ["the claim", () => `UPDATE ON ${rig.table()}`],
    ["the claim's mark for the mirror", () => "INSERT ON tandem.outbox"],
    ["the channel", () => "INSERT ON contact_channels"],
    ["the contact's new version", () => "UPDATE ON contacts"],
    ["the receipt", () => "INSERT ON tandem.receipts"],
  ] as const;
  const ofCreation = [
    ["the invite", () => `INSERT ON ${rig.table()}`],
    ["its mark for the mirror", () => "INSERT ON tandem.outbox"],
    ["the receipt", () => "INSERT ON tandem.receipts"],
  ] as const;
  const inBothWays = (places: readonly (readonly [string, () => string])[]) =>
    (Object.keys(ways) as (keyof typeof ways)[]).flatMap((way) =>
      places.map(([place, event]) => [place, way, event] as const),
    );

  async function redeemThrough(injecting: () => Promise<void>, way?: keyof typeof ways): Promise<void> {
    const { invite, secrets } = await rig.create({ contactId, sourceChannel: "telegram", maxUses: 2 });
    const externalUserId = unique("@%");
    const secret = { case: "code", value: secrets.code } as const;
    const request = { secret, sourceChannel: "telegram", externalUserId, requestId: newRequestId() };
    await injecting();
    const first = await rig.invites.redeemInvite(request).catch((error: unknown) => error as HandlerError);
    // What happened once may have been gone when it was tried again.
    if (way !== "loses its connection") expect(first).toBeInstanceOf(HandlerError);
    if (first instanceof Error) {
      expect(await rig.get(invite.id)).toEqual(invite);
      expect(await rig.channelAt("telegram", externalUserId)).toBeUndefined();
      expect(await marksOf(invite.id)).toEqual(["1"]);
    }
    await remove?.();
    remove = undefined;
    const redeemed = await rig.invites.redeemInvite(request);
    expect(redeemed).toMatchObject({ outcome: RedeemOutcome.REDEEMED, invite: { useCount: 1 } });
    expect(await rig.invites.redeemInvite(request)).toEqual(redeemed);
    expect(await rig.get(invite.id)).toMatchObject({ useCount: 1, version: 2n });
    expect(await marksOf(invite.id)).toEqual(["1", "2"]);
    expect(await rig.channelAt("telegram", externalUserId)).toMatchObject({ status: "active" });
  }

  async function createThrough(injecting: () => Promise<void>, way?: keyof typeof ways): Promise<void> {
    const note = unique("failing %");
    const invite = { contactId, sourceChannel: "telegram", note };
    const request = { invite, requestId: newRequestId() };
    await injecting();
    const first = await rig.invites.createInvite(request).catch((error: unknown) => error as HandlerError);
    if (way !== "loses its connection") expect(first).toBeInstanceOf(HandlerError);
    if (first instanceof Error) expect(await idsOf(note)).toEqual([]);
    await remove?.();
    remove = undefined;
    const created = await rig.invites.createInvite(request);
    const id = created.invite?.id ?? "";
    expect(await idsOf(note)).toEqual([id]);
    expect(await marksOf(id)).toEqual(["1"]);
    // Nothing is marked that isn't there.
    const orphans = await rig.inDatabase(
      `SELECT FROM marked WHERE aggregate = 'invite' AND id NOT IN (SELECT id FROM ${rig.table()})`,
    );
    expect(orphans).toEqual([]);
  }

  async function marksOf(id: string): Promise<unknown[]> {
    const text = `SELECT version::text FROM marked WHERE aggregate = 'invite' AND id = '${id}' ORDER BY version`;
    return (await rig.inDatabase(text)).map(({ version }) => version);
  }

  async function idsOf(note: string): Promise<unknown[]> {
    return (await rig.inDatabase(`SELECT id FROM ${rig.table()} WHERE note = '${note}'`)).map(({ id }) => id);
  }

  describe("a redemption spends no use and gives no access, and does both when it is sent again,", () => {
    it.each(inBothWays(ofRedemption))("where %s %s", async (_, way, event) => {
      await redeemThrough(() => inject(way, event()), way);
    });

    it.each(Object.keys(ways) as (keyof typeof ways)[])("where COMMIT %s", async (way) => {
      await redeemThrough(() => inject(way, `UPDATE ON ${rig.table()}`, true), way);
    });

    it("where the contact can't be locked", async () => {
      const role = authority === "gateway" ? "gateway_app" : "assistant_dbproxy";
      await redeemThrough(async () => {
        await rig.inDatabase(`REVOKE UPDATE ON contacts FROM ${role}`);
        remove = () => rig.inDatabase(`GRANT UPDATE ON contacts TO ${role}`);
      });
    });
  });

  describe("a creation leaves no invite and no mark for the mirror, and both when it is sent again,", () => {
    it.each(inBothWays(ofCreation))("where %s %s", async (_, way, event) => {
      await createThrough(() => inject(way, event()), way);
    });

    it.each(Object.keys(ways) as (keyof typeof ways)[])("where COMMIT %s", async (way) => {
      await createThrough(() => inject(way, `INSERT ON ${rig.table()}`, true), way);
    });
  });
});
