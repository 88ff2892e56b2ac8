import type { Transaction } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { hashesOfRow, type InviteRow } from "./invite-row.ts";
import type { InviteKeys } from "./keys.ts";
import { inviteLimits } from "./limits.ts";
import type { ValidInvite } from "./new-invite.ts";
import { deriveSecrets, hashesOf, hashSecrets, type LookUpHash, type Secrets, secretsOf } from "./secrets.ts";

/** The table of invites: the gateway's, or the assistant's. */
export type InviteTable = "ingress_invites" | "assistant_ingress_invites";

export interface CreateInviteOptions {
  readonly table: InviteTable;
  readonly invite: ValidInvite;
  readonly keys: InviteKeys;
}

export interface CreatedInvite {
  readonly row: InviteRow;
  /** Undefined where a copy of the request created it with a key that is gone by now: then nobody can tell them again. */
  readonly secrets: Secrets | undefined;
}

/**
 * Creates an invite in a READ COMMITTED transaction, with secrets that no live invite of its channel has, under whichever
 * key. An invite that a copy of the same request has created already, on the other side before the authority moved, is
 * given as it is.
 *
 * Fails with CONTACT_NOT_FOUND; with UNIQUE_VIOLATION where the id that the caller chose is another invite's; with
 * REQUEST_ID_REUSED where the request asked for something else before; with DATABASE_RESOURCES where the channel has so
 * many live invites that no code was free. What the database fails with is passed on, NOT_AUTHORITATIVE among it. Whatever
 * it fails with, the transaction has to be given up then.
 */
export async function createInvite(
  transaction: Transaction,
  { table, invite, keys }: CreateInviteOptions,
): Promise<CreatedInvite> {
  for (let draw = 0; draw < inviteLimits.maxDraws; draw += 1) {
    const secrets = deriveSecrets(keys.current, invite, draw);
    const taken = codeHashes(keys, secrets);
    const locked = await transaction.run({
      text: lockSql,
      values: [invite.contactId, locksOf(taken)],
      prepare: true,
    });
    if (locked.length === 0) {
      await requireContact(transaction, invite.contactId);
      continue;
    }
    const row = await insert(transaction, { table, invite, keys, secrets, taken });
    if (row !== undefined) return { row, secrets };
    const there = await readInvite(transaction, table, invite.id);
    if (there !== undefined) return createdBefore(there, invite, keys);
  }
  const message = `No code is free for another invite on ${invite.sourceChannel}: revoke invites there that nobody needs any more, then try again.`;
  throw new HandlerError({ reason: "DATABASE_RESOURCES", message });
}

// The contact stays until the transaction is over. Two who draw the same code under different keys are one after the
// other: by the index alone they would not be in each other's way.
const lockSql = `
  SELECT id, (SELECT count(pg_advisory_xact_lock(n)) FROM unnest($2::int8[]) AS n) FROM contacts WHERE id = $1 FOR KEY SHARE`;

const columns = `id, contact_id, source_channel, key_id, token_hash, invite_code_hash, voice_code_hash, voice_code_digits,
  expected_external_user_id, source_conversation_id, friend_name, guardian_name, note, max_uses`;

// A statement of its own after the locks: it sees what those wrote who had them before. What another transaction inserts
// at the same time under the same key is waited for by the index, and then is a conflict.
const insertSql = (table: InviteTable, codeColumn: "invite_code_hash" | "voice_code_hash"): string => `
  INSERT INTO ${table} (${columns}, expires_at)
  SELECT $1::uuid, $2::uuid, $3, $4, $5::bytea, $6::bytea, $7::bytea, $8::int4, $9, $10, $11, $12, $13, $14::int4,
    now() + $15::int8 * interval '1 microsecond'
  WHERE NOT EXISTS (
    SELECT FROM ${table} WHERE source_channel = $3 AND status = 'active' AND ${codeColumn} = ANY ($16::bytea[])
  )
  ON CONFLICT DO NOTHING
  RETURNING *`;

interface Insertion extends CreateInviteOptions {
  readonly secrets: Secrets;
  readonly taken: readonly LookUpHash[];
}

async function insert(transaction: Transaction, insertion: Insertion): Promise<InviteRow | undefined> {
  const { table, invite, keys, secrets, taken } = insertion;
  const hashes = hashSecrets(keys.current, secrets);
  const values = [
    invite.id,
    invite.contactId,
    invite.sourceChannel,
    hashes.keyId,
    hashes.tokenHash,
    hashes.codeHash,
    hashes.voiceCodeHash,
    invite.voiceCodeDigits,
    invite.expectedExternalUserId,
    invite.sourceConversationId,
    invite.friendName,
    invite.guardianName,
    invite.note,
    invite.maxUses,
    String(invite.timeToLiveMicros),
    byteaArray(taken),
  ];
  const text = insertSql(table, hashes.codeHash === null ? "voice_code_hash" : "invite_code_hash");
  return toRow(await transaction.run({ text, values, prepare: true }));
}

async function readInvite(
  transaction: Transaction,
  table: InviteTable,
  id: string,
): Promise<InviteRow | undefined> {
  const text = `SELECT * FROM ${table} WHERE id = $1`;
  return toRow(await transaction.run({ text, values: [id], prepare: true }));
}

function toRow(rows: readonly Readonly<Record<string, unknown>>[]): InviteRow | undefined {
  // The migrations of both services give their table these columns.
  return rows[0] as InviteRow | undefined;
}

/** What the same request has created before. Nobody else is told what an invite's secrets are. */
function createdBefore(row: InviteRow, invite: ValidInvite, keys: InviteKeys): CreatedInvite {
  if (!invite.idIsDerived) {
    const message = "There is an invite with this id already: choose another one, or leave it out.";
    throw new HandlerError({ reason: "UNIQUE_VIOLATION", message });
  }
  if (!isSame(row, invite)) {
    const message =
      "This request_id has created an invite already, and asked for something else then: use a new one.";
    throw new HandlerError({ reason: "REQUEST_ID_REUSED", message });
  }
  const subject = { ...invite, voiceCodeDigits: row.voice_code_digits };
  return { row, secrets: secretsOf(keys, subject, hashesOfRow(row)) };
}

function isSame(row: InviteRow, invite: ValidInvite): boolean {
  return (
    row.contact_id === invite.contactId &&
    row.source_channel === invite.sourceChannel &&
    row.max_uses === invite.maxUses &&
    row.expected_external_user_id === invite.expectedExternalUserId &&
    row.source_conversation_id === invite.sourceConversationId &&
    row.friend_name === invite.friendName &&
    row.guardian_name === invite.guardianName &&
    row.note === invite.note
  );
}

/** What a live invite with the same code has, under each key. */
function codeHashes(keys: InviteKeys, secrets: Secrets): readonly LookUpHash[] {
  return secrets.code === undefined
    ? hashesOf(keys, { kind: "voice_code", secret: secrets.voiceCode })
    : hashesOf(keys, { kind: "code", secret: secrets.code });
}

// Always in the same order, so that no two wait for each other.
function locksOf(taken: readonly LookUpHash[]): string {
  const numbers = taken.map(({ hash }) => hash.readBigInt64BE()).toSorted((a, b) => (a < b ? -1 : 1));
  return `{${numbers.join(",")}}`;
}

function byteaArray(taken: readonly LookUpHash[]): string {
  return `{${taken.map(({ hash }) => `"\\\\x${hash.toString("hex")}"`).join(",")}}`;
}

/**
 * Says why a contact wasn't found. A mirror may not have it yet, and a database that begins to decide has had it since: so
 * both are looked at in one moment. Returns where it is there by now.
 */
async function requireContact(transaction: Transaction, id: string): Promise<void> {
  const [found] = await transaction.sql<{ decides: boolean; there: boolean }>`
    SELECT authority = side AND phase = 'settled' AS decides, EXISTS (SELECT FROM contacts WHERE id = ${id}) AS there
    FROM tandem.authority`;
  if (found?.decides !== true) {
    const message = "This database doesn't decide about invites at the moment: try again soon.";
    throw new HandlerError({ reason: "NOT_AUTHORITATIVE", message });
  }
  if (found.there) return;
  const message = `There is no contact ${id} to invite: create it first.`;
  const fields = [{ field: "invite.contact_id", description: "is no contact's" }];
  throw new HandlerError({ reason: "CONTACT_NOT_FOUND", message, fields });
}
