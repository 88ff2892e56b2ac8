import { createHash, randomUUIDv7 } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { type NewInvite, NewInviteSchema } from "@tandem/contract/tandem/invite/v1/invite";
import {
  applyOnce,
  type Database,
  parseRequestId,
  parseRequestIdentity,
  type Patience,
  type Receipts,
  underOneId,
} from "@tandem/postgres";
import { createInvite, type CreatedInvite, type InviteTable } from "./create-invite.ts";
import { hashesOfRow } from "./invite-row.ts";
import type { InviteKeys } from "./keys.ts";
import { fromState, toState } from "./mirror-request.ts";
import { parseNewInvite } from "./new-invite.ts";
import { secretsOf } from "./secrets.ts";

/** Where invites are created: the database that decides, with its receipts. */
export interface InviteCreation {
  readonly database: Database;
  readonly receipts: Receipts;
  readonly table: InviteTable;
  readonly keys: InviteKeys;
  readonly instanceId: string;
}

export interface CreationRequest extends Patience {
  readonly caller: string;
  /** As the request has it; "" where the caller doesn't care how often it is applied. */
  readonly requestId: string;
  readonly invite: NewInvite | undefined;
}

/**
 * Creates an invite, once for a request_id: each copy of the request is answered with the same invite, as it was when it
 * was created, and with its secrets, unless their key is gone by now. A request that failed may be sent again with its id.
 * Fails as `parseNewInvite` and `createInvite` do, and as requests with an id do.
 */
export async function createInviteOnce(
  { database, receipts, table, keys, instanceId }: InviteCreation,
  { caller, requestId, invite, deadline, signal }: CreationRequest,
): Promise<CreatedInvite> {
  const id = requestId === "" ? undefined : parseRequestId(requestId);
  const valid = parseNewInvite(invite, id);
  // A contact that isn't there may be when the same request is sent again. The invite is the same under each of the ids:
  // what one of them created is found, also on the other side, which has no receipts of this one.
  return underOneId(id, async (nthId) => {
    const identity = parseRequestIdentity({
      caller,
      requestId: nthId ?? randomUUIDv7(),
      // One that was given may have been sent before.
      attempt: nthId === undefined ? 0 : 1,
      fingerprint: fingerprintOf(invite),
      requestedAt: new Date(),
      sourceInstanceId: instanceId,
    });
    let created: CreatedInvite | undefined;
    const stored = await applyOnce(
      database,
      { identity, patience: { deadline, signal }, receipts },
      async (transaction) => {
        created = await createInvite(transaction, { table, invite: valid, keys });
        // Without its secrets, which can be told again.
        return Buffer.from(toState(created.row));
      },
    );
    return created ?? toldAgain(Buffer.from(stored).toString(), keys);
  });
}

function fingerprintOf(invite: NewInvite | undefined): Uint8Array {
  const bytes = invite === undefined ? new Uint8Array() : toBinary(NewInviteSchema, invite);
  return createHash("sha256").update("tandem.invite.v1.NewInvite").update(bytes).digest();
}

function toldAgain(state: string, keys: InviteKeys): CreatedInvite {
  const { version } = JSON.parse(state) as { readonly version: number };
  const row = fromState(state, BigInt(version));
  const { id, source_channel: sourceChannel, voice_code_digits: voiceCodeDigits } = row;
  return { row, secrets: secretsOf(keys, { id, sourceChannel, voiceCodeDigits }, hashesOfRow(row)) };
}
