import { create } from "@bufbuild/protobuf";
import {
  type MirrorInviteCreateRequest,
  MirrorInviteCreateRequestSchema,
} from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { type InviteSecretHashes, InviteSchema } from "@tandem/contract/tandem/invite/v1/invite";
import type { MirrorItem } from "@tandem/postgres";
import { invalidField } from "@tandem/rpc";
import { type InviteRow, toInvite, toInviteRow, toSecretHashes } from "./invite-row.ts";
import { fromTimestamp, toTimestamp } from "./timestamps.ts";
import { isUuid } from "./uuid.ts";

/** What the outbox has of an invite, as the other side is sent it: a tombstone where the invite was deleted. */
export function toMirrorRequest(item: MirrorItem, sourceInstanceId: string): MirrorInviteCreateRequest {
  const { id, version, state, updatedAt } = item;
  if (state === undefined) {
    const invite = create(InviteSchema, { id, version, deleteTime: toTimestamp(updatedAt) });
    return create(MirrorInviteCreateRequestSchema, { invite, sourceInstanceId });
  }
  const row = fromState(state, version);
  return create(MirrorInviteCreateRequestSchema, {
    invite: toInvite(row),
    secretHashes: toSecretHashes(row),
    sourceInstanceId,
  });
}

/**
 * The same as it was in the outbox, for `mirror.apply_invite`. Fails with an INVALID_REQUEST where a row can't be made of
 * it; what the table itself refuses is left to the table.
 */
export function fromMirrorRequest({ invite, secretHashes }: MirrorInviteCreateRequest): MirrorItem {
  if (invite === undefined) throw invalidField({ field: "invite", why: "is missing" });
  const { id, version, deleteTime } = invite;
  if (!isUuid(id)) throw invalidField({ field: "invite.id", why: "must be a UUID, in lower case" });
  if (version < 1n) throw invalidField({ field: "invite.version", why: "must be at least 1" });
  if (deleteTime !== undefined) {
    const updatedAt = checked("invite.delete_time", () => fromTimestamp(deleteTime));
    return { id, version, state: undefined, updatedAt };
  }
  const hashes = requireHashes(secretHashes);
  const row = checked("invite", () => toInviteRow(invite, hashes));
  if (row === undefined) {
    const why =
      "needs a status, an expire_time, a create_time and an update_time, unless it has a delete_time";
    throw invalidField({ field: "invite", why });
  }
  return { id, version, state: toState(row), updatedAt: row.updated_at };
}

/** A row as `to_jsonb` writes it. */
export function toState({ version, ...row }: InviteRow): string {
  const columns = JSON.stringify({
    ...row,
    token_hash: toHex(row.token_hash),
    invite_code_hash: toHex(row.invite_code_hash),
    voice_code_hash: toHex(row.voice_code_hash),
  });
  // JSON's numbers have no end, and JavaScript's do.
  return `{"version":${version},${columns.slice(1)}`;
}

/** A row as `to_jsonb` wrote it. The version is given beside it, exactly. */
export function fromState(state: string, version: bigint): InviteRow {
  // Our own database wrote it, from a table with these columns.
  const row = JSON.parse(state) as Omit<InviteRow, HashColumn> & Readonly<Record<HashColumn, string | null>>;
  return {
    ...row,
    token_hash: fromHex(row.token_hash),
    invite_code_hash: fromHex(row.invite_code_hash),
    voice_code_hash: fromHex(row.voice_code_hash),
    version,
  };
}

type HashColumn = "token_hash" | "invite_code_hash" | "voice_code_hash";

const HEX_PREFIX = "\\x";

function requireHashes(hashes: InviteSecretHashes | undefined): InviteSecretHashes {
  if (hashes !== undefined) return hashes;
  throw invalidField({ field: "secret_hashes", why: "is missing: an invite without them can't be redeemed" });
}

function checked<T>(field: string, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField({ field, why: "has a time that is not of the years 1 to 9999" });
  }
}

function toHex(hash: Uint8Array | null): string | null {
  return hash === null ? null : HEX_PREFIX + Buffer.from(hash).toString("hex");
}

function fromHex(text: string | null): Uint8Array | null {
  return text === null ? null : Uint8Array.from(Buffer.from(text.slice(HEX_PREFIX.length), "hex"));
}
