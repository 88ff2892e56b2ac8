import { randomUUIDv7 } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import type {
  CreateInviteRequest,
  CreateInviteResponseSchema,
  ListInvitesRequest,
  RedeemInviteRequest,
} from "@tandem/contract/tandem/gateway/v1/invites";
import type { Invite } from "@tandem/contract/tandem/invite/v1/invite";
import { createInviteOnce, type InviteKeys, parseUuid, toInvite } from "@tandem/invites";
import { type Database, parseRequestId, type Receipts } from "@tandem/postgres";
import type { Client, HandlerContext, Reason } from "@tandem/rpc";
import { translateAssistantFailure } from "../authority/assistant-failures.ts";
import { decideOnce } from "../authority/decide-once.ts";
import type { Deciding } from "../authority/deciding.ts";
import type { WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { scopedId } from "../authority/scoped-id.ts";
import type { Attempts } from "./attempts.ts";
import { inviteLimits } from "./limits.ts";
import { parsePage, readInvite, readPage } from "./read-invites.ts";
import { redeem, type Redeemed } from "./redeem.ts";
import { parseRedemption } from "./redeemer.ts";
import { statementsOf, toRow } from "./statements.ts";

export interface InvitesOptions {
  readonly deciding: Deciding;
  readonly database: Database;
  readonly receipts: Receipts;
  readonly attempts: Attempts;
  /** The assistant's, where invites are created while it decides. */
  readonly ingress: Client<typeof IngressInvites>;
  readonly keys: () => InviteKeys;
  readonly instanceId: string;
}

/** Invites, in whichever database decides. Functions fail with HandlerErrors. */
export interface Invites {
  create(
    request: CreateInviteRequest,
    context: HandlerContext,
  ): Promise<MessageInitShape<typeof CreateInviteResponseSchema>>;
  get(id: string, context: HandlerContext): Promise<Invite>;
  list(
    request: ListInvitesRequest,
    context: HandlerContext,
  ): Promise<{ invites: Invite[]; nextPageToken: string }>;
  revoke(
    request: { readonly id: string; readonly requestId: string },
    context: HandlerContext,
  ): Promise<Invite>;
  redeem(request: RedeemInviteRequest, context: HandlerContext): Promise<Redeemed>;
  /** Marks those that nobody can redeem any more; says how many there were. */
  expire(signal: AbortSignal): Promise<number>;
}

// Who writes for the gateway's callers, and for itself. Their requests are told from one another by their ids.
const CREATOR = "gateway";

export function createInvites(options: InvitesOptions): Invites {
  const { deciding, attempts, keys } = options;
  return {
    create: (request, context) => create(request, context, options),
    get: (given, context) => {
      const id = parseUuid(given, "id");
      return deciding.decide(async (decider) => toInvite(await readInvite(decider, id, context)), context);
    },
    list: (request, context) => {
      const page = parsePage(request);
      return deciding.decide((decider) => readPage(decider, page, context), context);
    },
    revoke: (request, context) => {
      const id = parseUuid(request.id, "id");
      const write = writeOptions(context, request.requestId);
      // To do it again changes nothing, whoever did it before.
      return deciding.decide(async (decider) => {
        const [revoked] = await decider.write([step(statementsOf(decider.side).revoke, { id })], write);
        const [row] = revoked.rows;
        // Where there is nothing to revoke any more, the invite stays as it is.
        return toInvite(row === undefined ? await readInvite(decider, id, write) : toRow(row));
      }, context);
    },
    redeem: (request, context) => {
      const write = writeOptions(context, request.requestId);
      const redemption = parseRedemption(request, write.requestId);
      return redeem(redemption, {
        attempts,
        keys: keys(),
        decide: (work) => decideOnce(deciding, work, write),
        write,
      });
    },
    expire: (signal) =>
      deciding.decide(
        async (decider) => {
          const { expire } = statementsOf(decider.side);
          const write = { caller: CREATOR, requestId: undefined, deadline: undefined, signal };
          const [expired] = await decider.write([step(expire, { maxRows: inviteLimits.expireBatch })], write);
          return Number(expired.changes);
        },
        { deadline: undefined, signal },
      ),
  };
}

async function create(
  { requestId: given, invite }: CreateInviteRequest,
  context: HandlerContext,
  { deciding, database, receipts, ingress, keys, instanceId }: InvitesOptions,
): Promise<MessageInitShape<typeof CreateInviteResponseSchema>> {
  const { deadline, signal } = context;
  const requestId = given === "" ? randomUUIDv7() : scopedId(callerOf(context), parseRequestId(given));
  return deciding.decide(async ({ side }) => {
    if (side === "assistant") return createThere({ requestId, invite }, ingress, context);
    const { row, secrets } = await createInviteOnce(
      { database, receipts, table: "ingress_invites", keys: keys(), instanceId },
      { caller: CREATOR, requestId, invite, deadline, signal },
    );
    return { invite: toInvite(row), secrets: secrets ?? {} };
  }, context);
}

async function createThere(
  { requestId, invite }: Pick<CreateInviteRequest, "requestId" | "invite">,
  ingress: InvitesOptions["ingress"],
  context: HandlerContext,
): Promise<MessageInitShape<typeof CreateInviteResponseSchema>> {
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

const callerOf = ({ caller }: HandlerContext): string => caller ?? "";

function writeOptions(context: HandlerContext, requestId: string): WriteOptions {
  const { deadline, signal } = context;
  return {
    caller: callerOf(context),
    requestId: requestId === "" ? undefined : parseRequestId(requestId),
    deadline,
    signal,
  };
}
