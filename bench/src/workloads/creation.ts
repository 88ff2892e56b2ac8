import { randomBytes, randomUUID, randomUUIDv7 } from "node:crypto";
import { pick, type Tag, type Workload, type WorkStep } from "./workload.ts";

const CONTACTS = 2_000;
const CHANNELS = 1_000;
const HASH_BYTES = 32;
// About what the receipt of a creation holds.
const RESPONSE_BYTES = 700;

const contactOf = (number: bigint): string =>
  `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;

/**
 * What the creation of an invite writes, without triggers and without the services: the invite, its line of the outbox and
 * a receipt, with the contact locked. The tables have the columns and indexes of the real ones.
 */
export const creation: Workload = {
  define: [
    `CREATE TABLE IF NOT EXISTS creation_contacts (LIKE contacts INCLUDING ALL)`,
    `CREATE TABLE IF NOT EXISTS creation_invites (LIKE assistant_ingress_invites INCLUDING ALL)`,
    `CREATE TABLE IF NOT EXISTS creation_outbox (LIKE tandem.outbox INCLUDING ALL)`,
    `CREATE TABLE IF NOT EXISTS creation_receipts (LIKE tandem.receipts INCLUDING ALL)`,
    `INSERT INTO creation_contacts (id, display_name)
      SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'Somebody' FROM generate_series(1, ${CONTACTS}) AS i
      ON CONFLICT DO NOTHING`,
  ],
  steps<S>(sql: Tag<S>): readonly WorkStep<S>[] {
    const [id, contactId] = [randomUUIDv7(), contactOf(pick(CONTACTS))];
    const hash = (): string => randomBytes(HASH_BYTES).toString("hex");
    const [code, channel] = [hash(), `bench-${pick(CHANNELS)}`];
    return [
      {
        statement: sql`SELECT id, pg_advisory_xact_lock(${pick(Number.MAX_SAFE_INTEGER)}) FROM creation_contacts
          WHERE id = ${contactId} FOR KEY SHARE`,
        changes: 1,
      },
      {
        statement: sql`
          INSERT INTO creation_invites (id, contact_id, source_channel, key_id, token_hash, invite_code_hash, expires_at)
          SELECT ${id}::uuid, ${contactId}::uuid, ${channel}, 'bench', decode(${hash()}, 'hex'), decode(${code}, 'hex'),
            now() + interval '7 days'
          WHERE NOT EXISTS (
            SELECT FROM creation_invites
            WHERE source_channel = ${channel} AND status = 'active' AND invite_code_hash = decode(${code}, 'hex')
          )
          ON CONFLICT DO NOTHING RETURNING *`,
        changes: 1,
      },
      {
        statement: sql`INSERT INTO creation_outbox (aggregate, id, version) VALUES ('invite', ${id}, 1)`,
        changes: 1,
      },
      {
        statement: sql`
          INSERT INTO creation_receipts (request_id, caller, state, fingerprint, response, source_instance_id, requested_at)
          VALUES (${randomUUIDv7()}, 'gateway', 'committed', decode(${hash()}, 'hex'),
            decode(${randomBytes(RESPONSE_BYTES).toString("hex")}, 'hex'), ${randomUUID()}, now())`,
        changes: 1,
      },
    ];
  },
};
