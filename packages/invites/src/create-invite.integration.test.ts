import { HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createInvite, type CreatedInvite, type InviteTable } from "./create-invite.ts";
import { hashesOfRow } from "./invite-row.ts";
import type { InviteKeys } from "./keys.ts";
import { inviteLimits } from "./limits.ts";
import type { ValidInvite } from "./new-invite.ts";
import { deriveSecrets, hashSecrets, isSameHash, secretsOf } from "./secrets.ts";
import { createInvitesDatabase, type InvitesDatabase } from "./testing/invites-database.ts";
import { keysOf } from "./testing/test-keys.ts";

const contactId = "0198e5a0-0000-7000-8000-00000000ada0";
const id = "0198e5a0-0000-7000-8000-000000000001";
const tables: readonly InviteTable[] = ["ingress_invites", "assistant_ingress_invites"];
const keys = keysOf("new", "old");
const before = keysOf("old", "new");

let invites: InvitesDatabase;
beforeAll(async () => {
  invites = await createInvitesDatabase("create_invite_test");
});
beforeEach(async () => {
  await invites.decides("this one");
  await invites.clear();
  await runSql(invites.ownerUrl, `INSERT INTO contacts VALUES ('${contactId}')`);
});
afterAll(() => invites[Symbol.asyncDispose]());

function wanted(given: Partial<ValidInvite> = {}): ValidInvite {
  return {
    id,
    idIsDerived: true,
    contactId,
    sourceChannel: "telegram",
    maxUses: 3,
    timeToLiveMicros: 31_535_999_999_999n,
    voiceCodeDigits: null,
    expectedExternalUserId: null,
    sourceConversationId: null,
    friendName: "Grace",
    guardianName: null,
    note: "from the README",
    ...given,
  };
}

/** On the phone, with so few codes that some are the same. */
function spoken(given: Partial<ValidInvite> = {}): ValidInvite {
  const expectedExternalUserId = "+14155550123";
  return wanted({
    id: randomUUID(),
    sourceChannel: "phone",
    voiceCodeDigits: 4,
    expectedExternalUserId,
    ...given,
  });
}

function createOne(
  invite: ValidInvite,
  options: { readonly table?: InviteTable; readonly keys?: InviteKeys } = {},
): Promise<CreatedInvite> {
  const { table = "ingress_invites" } = options;
  return invites.database.transaction((tx) =>
    createInvite(tx, { table, invite, keys: options.keys ?? keys }),
  );
}

function failureOf(creating: Promise<unknown>): Promise<unknown> {
  return creating.then(
    () => new Error("It did not fail."),
    (error: unknown) => (error instanceof HandlerError ? error.reason : error),
  );
}

async function count(table: InviteTable): Promise<unknown> {
  return (await runSql(invites.ownerUrl, `SELECT count(*)::int AS count FROM ${table}`))[0]?.["count"];
}

/** A live invite that has the code which another one would get. */
async function take(
  invite: ValidInvite,
  from: InviteKeys,
  given: { draw?: number; status?: string; channel?: string } = {},
) {
  const { draw = 0, status = "active", channel = invite.sourceChannel } = given;
  const secrets = deriveSecrets(from.current, invite, draw);
  const { keyId, codeHash, voiceCodeHash } = hashSecrets(from.current, secrets);
  await invites.database.sql`
    INSERT INTO ingress_invites (id, contact_id, source_channel, key_id, invite_code_hash, voice_code_hash, expires_at, status)
    VALUES (gen_random_uuid(), ${contactId}, ${channel}, ${keyId}, ${codeHash}, ${voiceCodeHash}, now() + interval '1 day', ${status})
    ON CONFLICT DO NOTHING`;
}

async function someoneWaits(): Promise<void> {
  await waitFor(
    async () => {
      const found = await runSql(
        invites.ownerUrl,
        "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()",
      );
      return found.length > 0;
    },
    { describe: "somebody to wait for a lock" },
  );
}

describe.each(tables)("creating an invite in %s", (table) => {
  it("keeps what was asked for, and of the secrets their hashes", async () => {
    const { row, secrets } = await createOne(wanted(), { table });
    expect(row).toMatchObject({
      id,
      contact_id: contactId,
      source_channel: "telegram",
      key_id: "new",
      voice_code_hash: null,
      voice_code_digits: null,
      friend_name: "Grace",
      guardian_name: null,
      note: "from the README",
      max_uses: 3,
      use_count: 0,
      status: "active",
      version: 1n,
    });
    const hashes = hashSecrets(keys.current, secrets!);
    expect(isSameHash(row.token_hash, hashes.tokenHash)).toBe(true);
    expect(isSameHash(row.invite_code_hash, hashes.codeHash)).toBe(true);
    const [lives] = await runSql(
      invites.ownerUrl,
      `SELECT (extract(epoch FROM expires_at - created_at) * 1e6)::int8::text AS micros FROM ${table}`,
    );
    expect(lives).toEqual({ micros: "31535999999999" });
  });

  it("needs a contact, which stays for as long as the transaction", async () => {
    const nobody = wanted({ contactId: id });
    expect(await failureOf(createOne(nobody, { table }))).toBe("CONTACT_NOT_FOUND");
    expect(await count(table)).toBe(0);
    let deleting: Promise<unknown> | undefined;
    await invites.database.transaction(async (tx) => {
      await createInvite(tx, { table, invite: wanted(), keys });
      deleting = runSql(invites.ownerUrl, "DELETE FROM contacts");
      await someoneWaits();
    });
    await deleting;
  });

  it.each(["the other one", "nobody"] as const)(
    "is refused where %s decides: the contact may be there by then",
    async (who) => {
      await invites.decides(who);
      for (const invite of [wanted(), wanted({ contactId: id })]) {
        const failure = await createOne(invite, { table }).catch((error: unknown) => error);
        expect(failure).toMatchObject({ reason: "NOT_AUTHORITATIVE", outcome: "NOT_COMMITTED" });
      }
      expect(await count(table)).toBe(0);
    },
  );

  it("again with the same request gives the same invite and secrets, also after its key was replaced", async () => {
    const first = await createOne(wanted(), { table, keys: before });
    expect(first.row.key_id).toBe("old");
    expect(await createOne(wanted(), { table })).toEqual(first);
    expect(await count(table)).toBe(1);
  });
});

describe("what was created before", () => {
  it("is given to each of the copies of a request that run at once", async () => {
    const [first, ...others] = await Promise.all(Array.from({ length: 6 }, () => createOne(wanted())));
    for (const other of others) expect(other).toEqual(first);
    expect(await count("ingress_invites")).toBe(1);
  });

  it("is nobody else's: an id that was chosen is taken", async () => {
    await createOne(wanted());
    expect(await failureOf(createOne(wanted({ idIsDerived: false })))).toBe("UNIQUE_VIOLATION");
  });

  it.each([
    { sourceChannel: "slack" },
    { maxUses: 4 },
    { note: null },
    { friendName: "Ada" },
    { guardianName: "Ada" },
    { sourceConversationId: "C1" },
    { expectedExternalUserId: "@ada" },
  ])("is not given where the same request asks for something else: %j", async (given) => {
    await createOne(wanted());
    expect(await failureOf(createOne(wanted(given)))).toBe("REQUEST_ID_REUSED");
  });

  it("is given without its secrets when its key is gone", async () => {
    const { row } = await createOne(wanted(), { keys: before });
    expect(await createOne(wanted(), { keys: keysOf("new") })).toEqual({ row, secrets: undefined });
  });
});

describe("a code", () => {
  it.each([
    ["telegram", keys, wanted()],
    ["telegram, under another key", before, wanted()],
    ["phone", keys, spoken()],
    ["phone, under another key", before, spoken()],
  ])("that a live invite has on %s is passed over for the next one", async (_, by, invite) => {
    await take(invite, keys);
    const taken = deriveSecrets(keys.current, invite, 0);
    // The other one has the same code, by its own key.
    const { codeHash, voiceCodeHash } = hashSecrets(by.current, taken);
    await invites.database
      .sql`UPDATE ingress_invites SET invite_code_hash = ${codeHash}, voice_code_hash = ${voiceCodeHash}`;
    const { row, secrets } = await createOne(invite);
    expect(secrets).toEqual(deriveSecrets(keys.current, invite, 1));
    expect(secretsOf(keys, invite, hashesOfRow(row))).toEqual(secrets);
  });

  it.each([{ status: "revoked" }, { status: "redeemed" }, { channel: "slack" }])(
    "that is not live on this channel is free: %j",
    async (given) => {
      await take(wanted(), keys, given);
      expect((await createOne(wanted())).secrets).toEqual(deriveSecrets(keys.current, wanted(), 0));
    },
  );

  it.each([
    ["commits", 1],
    ["is rolled back", 0],
  ])(
    "that another transaction takes at the same time is waited for: when that one %s, draw %i is taken",
    async (end, draw) => {
      const invite = wanted();
      const secrets = deriveSecrets(keys.current, invite, 0);
      const { codeHash } = hashSecrets(keys.current, secrets);
      let creating: Promise<CreatedInvite> | undefined;
      await invites.database
        .transaction(async ({ sql }) => {
          await sql`
          INSERT INTO ingress_invites (id, contact_id, source_channel, key_id, invite_code_hash, expires_at)
          VALUES (gen_random_uuid(), ${contactId}, 'telegram', 'new', ${codeHash}, now())`;
          creating = createOne(invite);
          await someoneWaits();
          if (end !== "commits") throw new RangeError("not this time");
        })
        .catch((error: unknown) => expect(error).toBeInstanceOf(RangeError));
      expect((await creating)?.secrets).toEqual(deriveSecrets(keys.current, invite, draw));
    },
  );

  it("that is made at the same time under the key before is waited for as well", async () => {
    const first = spoken();
    const { voiceCode } = deriveSecrets(before.current, first, 0);
    let second = spoken();
    while (deriveSecrets(keys.current, second, 0).voiceCode !== voiceCode) second = spoken();
    let creating: Promise<CreatedInvite> | undefined;
    await invites.database.transaction(async (tx) => {
      await createInvite(tx, { table: "ingress_invites", invite: first, keys: before });
      creating = createOne(second);
      await someoneWaits();
    });
    expect((await creating)?.secrets).toEqual(deriveSecrets(keys.current, second, 1));
  });

  it(
    "is one invite's alone of many that are created at once under two keys",
    { timeout: 60_000 },
    async () => {
      const created: CreatedInvite[] = [];
      const lanes = Array.from({ length: 8 }, async (_, lane) => {
        const by = lane % 2 === 0 ? keys : before;
        for (let made = 0; made < 100; made += 1) {
          created.push(await createOne(spoken(), { table: "assistant_ingress_invites", keys: by }));
        }
      });
      await Promise.all(lanes);
      const codes = created.map(({ secrets }) => secrets?.voiceCode);
      expect(new Set(codes).size).toBe(codes.length);
      // Of 800 among 10,000 some were drawn again, or this shows nothing.
      const first = created.filter(({ row, secrets }) => {
        const { current } = row.key_id === "new" ? keys : before;
        const subject = { id: row.id, sourceChannel: "phone", voiceCodeDigits: 4 };
        return deriveSecrets(current, subject, 0).voiceCode === secrets?.voiceCode;
      });
      expect(first.length).toBeLessThan(codes.length);
    },
  );

  it("is not to be had where so many draws are taken, and nothing is created", async () => {
    for (let draw = 0; draw < inviteLimits.maxDraws; draw += 1) await take(wanted(), keys, { draw });
    const taken = await count("ingress_invites");
    expect(await failureOf(createOne(wanted()))).toBe("DATABASE_RESOURCES");
    expect(await count("ingress_invites")).toBe(taken);
  });
});
