import { randomUUIDv7 } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import type {
  CreateInviteRequest,
  CreateInviteResponseSchema,
} from "@tandem/contract/tandem/gateway/v1/invites";
import { createInviteOnce, type InviteKeys, toInvite } from "@tandem/invites";
import { type Database, parseRequestId, type Receipts } from "@tandem/postgres";
import { type Client, HandlerError, type HandlerContext, type Reason } from "@tandem/rpc";
import { translateAssistantFailure } from "../authority/assistant-failures.ts";
import { mayHaveComeBefore, whetherCommitted } from "../authority/decide-once.ts";
import type { Side } from "../authority/decider.ts";
import type { DecidedBefore, Deciding } from "../authority/deciding.ts";
import { scopedId } from "../authority/scoped-id.ts";

export interface InviteCreationOptions {
  readonly deciding: Deciding;
  readonly database: Database;
  readonly receipts: Receipts;
  /** The assistant's, where invites are created while it decides. */
  readonly ingress: Client<typeof IngressInvites>;
  readonly keys: () => InviteKeys;
  readonly instanceId: string;
}

export type CreationAnswer = MessageInitShape<typeof CreateInviteResponseSchema>;

/**
 * Creates an invite with the side that decides, once for a request_id, whoever decided before. Fails with a HandlerError, as
 * `createInviteOnce` does.
 */
export async function createAtDecider(
  { requestId: given, invite }: CreateInviteRequest,
  context: HandlerContext,
  options: InviteCreationOptions,
): Promise<CreationAnswer> {
  const id = given === "" ? undefined : parseRequestId(given);
  const requestId = id === undefined ? randomUUIDv7() : scopedId(context.caller ?? "", id);
  const creation = { requestId, invite };
  const createAt = (side: Side): Promise<CreationAnswer> =>
    (side === "assistant" ? createThere : createHere)(creation, context, options);
  return options.deciding.decide(
    ({ side }, before) =>
      createAt(side).catch(async (error: unknown) => {
        const isOlder = id !== undefined && isOf(error, taken) && mayHaveComeBefore(id, before);
        const created = isOlder ? await createdBefore(before, createAt) : undefined;
        if (created === undefined) throw error;
        return created;
      }),
    context,
  );
}

// An id that the caller chose is an invite's, and of this request there is no receipt on this side: others don't learn the
// invite's secrets by naming its id. Where that was found more than once, the request's own ids are spent.
const taken: ReadonlySet<string> = new Set<Reason>(["UNIQUE_VIOLATION", "REQUEST_REFUSED"]);

// What the side says that doesn't decide, where it has no receipt of the request either.
const notThere: ReadonlySet<string> = new Set<Reason>([
  "NOT_AUTHORITATIVE",
  "UNIQUE_VIOLATION",
  "REQUEST_REFUSED",
]);

/** What the request created while the other side decided. It takes no writes: nothing is created there now. */
function createdBefore(
  { decider }: DecidedBefore,
  createAt: (side: Side) => Promise<CreationAnswer>,
): Promise<CreationAnswer | undefined> {
  return createAt(decider.side).catch((error: unknown) => {
    if (isOf(error, notThere)) return undefined;
    throw whetherCommitted(error);
  });
}

function isOf(error: unknown, reasons: ReadonlySet<string>): boolean {
  return error instanceof HandlerError && reasons.has(error.reason);
}

type Creation = Pick<CreateInviteRequest, "requestId" | "invite">;

// Whose receipts they are in the gateway's database: the requests of its callers are told from one another by their ids.
const CREATOR = "gateway";

async function createHere(
  { requestId, invite }: Creation,
  { deadline, signal }: HandlerContext,
  { database, receipts, keys, instanceId }: InviteCreationOptions,
): Promise<CreationAnswer> {
  const { row, secrets } = await createInviteOnce(
    { database, receipts, table: "ingress_invites", keys: keys(), instanceId },
    { caller: CREATOR, requestId, invite, deadline, signal },
  );
  return { invite: toInvite(row), secrets: secrets ?? {} };
}

async function createThere(
  { requestId, invite }: Creation,
  context: HandlerContext,
  { ingress }: InviteCreationOptions,
): Promise<CreationAnswer> {
  const request = { requestId, ...(invite === undefined ? {} : { invite }) };
  const created = await ingress.createIngressInvite(request, { context }).catch((error: unknown) => {
    throw translateAssistantFailure(error, "write", ofCreation);
  });
  if (created.invite === undefined) {
    throw new TypeError("The assistant created an invite and didn't say which.");
  }
  return { invite: created.invite, secrets: created.secrets ?? {} };
}

// What the assistant says of an invite that is to be created, and not of how the gateway asks for it.
const ofCreation: ReadonlySet<string> = new Set<Reason>(["INVALID_REQUEST", "CONTACT_NOT_FOUND"]);
