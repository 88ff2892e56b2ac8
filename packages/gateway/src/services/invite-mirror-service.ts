import { create, fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import {
  type InviteMirror,
  type MirrorInviteCreateRequest,
  type MirrorInviteCreateStreamRequest,
  type MirrorInviteCreateStreamResponse,
  MirrorInviteCreateStreamResponseSchema,
  MirrorOutcome,
} from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { fromMirrorContactRequest, fromMirrorRequest } from "@tandem/invites";
import { type Applied, applyMirrored, type Database, type MirrorItem } from "@tandem/postgres";
import { HandlerError, type Handlers, toStatusMessage } from "@tandem/rpc";
import { inBatches } from "../mirror/in-batches.ts";

// As many are applied by one statement.
const MAX_BATCH = 200;

/** tandem.gateway.v1.InviteMirror: what the assistant decides, while it does, as it has it. */
export function inviteMirrorHandlers(database: () => Pick<Database, "run">): Handlers<typeof InviteMirror> {
  const applyOne = async (aggregate: string, item: MirrorItem) => {
    const [result] = await applyMirrored(database(), aggregate, [item]);
    if (result === undefined || result instanceof HandlerError)
      throw result ?? new TypeError("Nothing came of it.");
    return toResponse(item.id, result);
  };
  return {
    mirrorInviteCreate: (request) => applyOne("invite", fromMirrorRequest(request)),
    mirrorContact: (request) => applyOne("contact", fromMirrorContactRequest(request)),
    async *mirrorInviteCreateStream(requests) {
      for await (const batch of inBatches(requests, MAX_BATCH)) {
        yield* await applyBatch(database(), batch);
      }
    },
  };
}

/** Each is answered by itself, whatever becomes of the others. */
async function applyBatch(
  database: Pick<Database, "run">,
  batch: readonly MirrorInviteCreateStreamRequest[],
): Promise<readonly MirrorInviteCreateStreamResponse[]> {
  const read = batch.map(({ id, request }) => ({ id, item: attempt(() => readRequest(request)) }));
  const items = read
    .map(({ item }) => item)
    .filter((item): item is MirrorItem => !(item instanceof HandlerError));
  const results = await applyMirrored(database, "invite", items);
  const byItem = new Map(items.map((item, index) => [item, results[index]]));
  return read.map(({ id, item }) => {
    const result = item instanceof HandlerError ? item : byItem.get(item);
    if (result === undefined || item instanceof HandlerError || result instanceof HandlerError) {
      return toFailure(id, result instanceof HandlerError ? result : undefined);
    }
    return create(MirrorInviteCreateStreamResponseSchema, {
      id,
      outcome: { case: "response", value: toResponse(item.id, result) },
    });
  });
}

function readRequest(request: MirrorInviteCreateRequest | undefined): MirrorItem {
  if (request !== undefined) return fromMirrorRequest(request);
  throw new HandlerError({ reason: "INVALID_REQUEST", message: "It has no request." });
}

function attempt<T>(work: () => T): T | HandlerError {
  try {
    return work();
  } catch (error) {
    if (error instanceof HandlerError) return error;
    throw error;
  }
}

function toFailure(id: bigint, error: HandlerError | undefined): MirrorInviteCreateStreamResponse {
  const failure = error ?? new HandlerError({ reason: "HANDLER_FAILED", message: "Nothing came of it." });
  return create(MirrorInviteCreateStreamResponseSchema, {
    id,
    outcome: { case: "error", value: fromBinary(StatusSchema, toStatusMessage(failure)) },
  });
}

const outcomes: Readonly<Record<Applied["outcome"], MirrorOutcome>> = {
  created: MirrorOutcome.CREATED,
  updated: MirrorOutcome.UPDATED,
  deleted: MirrorOutcome.DELETED,
  stale: MirrorOutcome.STALE,
};

function toResponse(id: string, { outcome, version }: Applied) {
  return { id, version, outcome: outcomes[outcome] };
}
