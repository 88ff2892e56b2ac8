import { randomUUID } from "node:crypto";
import { FindingKind } from "@tandem/contract/tandem/gateway/v1/cutover";
import { runSql } from "@tandem/testkit";

/** What is to be found, by the id. */
export type Drift = ReadonlyMap<string, FindingKind>;

/**
 * Spoils so many contacts of a mirror and so many invites, in every way in which they can differ from what the other side
 * has. They are those that nobody else writes: contacts that are called quiet, and invites with the key "k".
 */
export async function injectDrift({
  url,
  role,
  invites,
  rows,
}: {
  readonly url: string;
  /** The mirror's own: nothing that it writes is marked. */
  readonly role: string;
  /** The table of invites there. */
  readonly invites: string;
  /** Of contacts, and as many of invites; rounded. */
  readonly rows: number;
}): Promise<Drift> {
  const drift = new Map<string, FindingKind>();
  const spoil = async (ways: readonly Way[], pick: string): Promise<void> => {
    const count = Math.max(2, Math.round(rows / ways.length));
    const known = await runSql(url, `${pick} ORDER BY id LIMIT ${ways.length * count}`);
    for (const [place, { kind, change }] of ways.entries()) {
      const ids =
        kind === FindingKind.ORPHAN
          ? Array.from({ length: count }, () => randomUUID())
          : known.slice(place * count, (place + 1) * count).map(({ id }) => String(id));
      await runSql(url, `SET ROLE ${role}; ${change(`'{${ids.join(",")}}'::uuid[]`)}`);
      for (const id of ids) drift.set(id, kind);
    }
  };
  await spoil(contactWays, "SELECT id FROM contacts WHERE display_name = 'quiet'");
  await spoil(inviteWays(invites), `SELECT id FROM ${invites} WHERE key_id = 'k'`);
  return drift;
}

interface Way {
  readonly kind: FindingKind;
  /** SQL; `ids` is a list of PostgreSQL's. */
  readonly change: (ids: string) => string;
}

const { MISSING, STALE, DIFFERENT, ORPHAN, NEWER } = FindingKind;

const contactWays: readonly Way[] = [
  { kind: MISSING, change: (ids) => `${removeChannels(ids)}; DELETE FROM contacts WHERE id = ANY (${ids})` },
  { kind: STALE, change: (ids) => contactsTo("version = version - 1, display_name = 'old'", ids) },
  // The channel has the version that it should have.
  {
    kind: STALE,
    change: (ids) =>
      `${contactsTo("version = version - 1", ids)}; ${channelsTo("address = 'old ' || id", ids)}`,
  },
  { kind: NEWER, change: (ids) => contactsTo("version = version + 3, display_name = 'later'", ids) },
  { kind: DIFFERENT, change: (ids) => contactsTo("display_name = 'other'", ids) },
  { kind: DIFFERENT, change: removeChannels },
  { kind: DIFFERENT, change: (ids) => channelsTo("address = 'other ' || id, updated_at = now()", ids) },
  { kind: DIFFERENT, change: (ids) => channelsTo("status = 'blocked'", ids) },
  { kind: DIFFERENT, change: addChannels },
  // Each has another one's address.
  {
    kind: DIFFERENT,
    change: (ids) => `
      UPDATE contact_channels c SET address = 'turning ' || next.address
      FROM (
        SELECT id, coalesce(lead(address) OVER byAddress, first_value(address) OVER byAddress) AS address
        FROM contact_channels WHERE contact_id = ANY (${ids}) WINDOW byAddress AS (ORDER BY address)
      ) AS next
      WHERE c.id = next.id;
      ${channelsTo("address = substr(address, 9)", ids)}`,
  },
  {
    kind: ORPHAN,
    change: (ids) =>
      `INSERT INTO contacts (id, display_name) SELECT id, 'orphan' FROM unnest(${ids}) id; ${addChannels(ids)}`,
  },
];

function contactsTo(values: string, ids: string): string {
  return `UPDATE contacts SET ${values} WHERE id = ANY (${ids})`;
}

function channelsTo(values: string, ids: string): string {
  return `UPDATE contact_channels SET ${values} WHERE contact_id = ANY (${ids})`;
}

function removeChannels(ids: string): string {
  return `DELETE FROM contact_channels WHERE contact_id = ANY (${ids})`;
}

function addChannels(ids: string): string {
  return `
    INSERT INTO contact_channels (id, contact_id, type, address)
    SELECT gen_random_uuid(), id, 'signal', id FROM unnest(${ids}) id`;
}

function inviteWays(invites: string): readonly Way[] {
  const to = (values: string) => (ids: string) => `UPDATE ${invites} SET ${values} WHERE id = ANY (${ids})`;
  return [
    { kind: MISSING, change: (ids) => `DELETE FROM ${invites} WHERE id = ANY (${ids})` },
    { kind: STALE, change: to("version = version - 1, note = 'old'") },
    { kind: NEWER, change: to("version = version + 3, note = 'later'") },
    { kind: DIFFERENT, change: to("note = 'other'") },
    { kind: DIFFERENT, change: to("status = 'revoked'") },
    {
      kind: ORPHAN,
      change: (ids) => `
        INSERT INTO ${invites} (id, contact_id, source_channel, key_id, expires_at)
        SELECT id, (SELECT contact_id FROM ${invites} LIMIT 1), 'telegram', 'orphan', now() + interval '1 day'
        FROM unnest(${ids}) id`,
    },
  ];
}
