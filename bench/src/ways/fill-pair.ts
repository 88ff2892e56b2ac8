import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { deriveSecrets, hashSecrets, type InviteKey, parseInviteKeys } from "@tandem/invites";
import postgres from "postgres";
import { inviteKeysFile } from "../place/service-program.ts";
import type { Side } from "../service/service-spec.ts";

/** A contact that is in both databases, with an invite that lives. */
export interface FilledInvite {
  readonly contactId: string;
  readonly token: string;
}

/** Its table of invites. */
export const inviteTables = { assistant: "assistant_ingress_invites", gateway: "ingress_invites" } as const;

const CHANNEL = "bench";
const BATCH = 10_000;
// In no time that is measured is one of them used up.
const MAX_USES = 2_000_000_000;
const YEAR_MS = 365 * 24 * 60 * 60_000;

/**
 * Writes so many contacts with an invite each into both databases of a pair, past its triggers: as rows of long ago that
 * the mirror has.
 */
export async function fillPair(
  databases: Readonly<Record<Side, string>>,
  count: number,
): Promise<readonly FilledInvite[]> {
  const keys = parseInviteKeys(await readFile(inviteKeysFile, "utf8"));
  const rows = Array.from({ length: count }, () => makeRow(keys.current));
  const now = Date.now();
  const times = { now: new Date(now).toISOString(), later: new Date(now + YEAR_MS).toISOString() };
  const write = (side: Side) =>
    writeRows(databases[side], inviteTables[side], { rows, times, key: keys.current });
  await Promise.all([write("assistant"), write("gateway")]);
  return rows;
}

interface FilledRow extends FilledInvite {
  readonly inviteId: string;
  readonly tokenHash: string;
}

function makeRow(key: InviteKey): FilledRow {
  const inviteId = randomUUID();
  const subject = { id: inviteId, sourceChannel: CHANNEL, voiceCodeDigits: null };
  const secrets = deriveSecrets(key, subject, 0);
  const { tokenHash } = hashSecrets(key, secrets);
  return {
    contactId: randomUUID(),
    inviteId,
    token: secrets.token ?? "",
    tokenHash: Buffer.from(tokenHash ?? []).toString("hex"),
  };
}

interface Filling {
  readonly rows: readonly FilledRow[];
  readonly times: { readonly now: string; readonly later: string };
  readonly key: InviteKey;
}

async function writeRows(url: string, table: string, { rows, times, key }: Filling): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    await sql`SET session_replication_role = replica`;
    for (let from = 0; from < rows.length; from += BATCH) {
      const some = rows.slice(from, from + BATCH);
      const contactIds = some.map(({ contactId }) => contactId);
      await sql`
        INSERT INTO contacts (id, display_name, created_at, updated_at)
        SELECT id, 'Somebody', ${times.now}::timestamptz, ${times.now}::timestamptz FROM unnest(${contactIds}::uuid[]) AS id`;
      // Six digits are not enough for so many that live: nobody looks for these by their code.
      await sql`
        INSERT INTO ${sql(table)}
          (id, contact_id, source_channel, key_id, token_hash, invite_code_hash, note, max_uses, expires_at, created_at, updated_at)
        SELECT id, contact_id, ${CHANNEL}, ${key.id}, decode(token_hash, 'hex'), sha256(uuid_send(id)), 'of the bench', ${MAX_USES},
          ${times.later}::timestamptz, ${times.now}::timestamptz, ${times.now}::timestamptz
        FROM unnest(
          ${some.map(({ inviteId }) => inviteId)}::uuid[], ${contactIds}::uuid[],
          ${some.map(({ tokenHash }) => tokenHash)}::text[]
        ) AS made (id, contact_id, token_hash)`;
    }
    await sql`VACUUM (ANALYZE) contacts, ${sql(table)}`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
