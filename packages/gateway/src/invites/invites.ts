import { randomUUIDv7 } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import {
  type CreateInviteRequest,
  type CreateInviteResponseSchema,
  type ListInvitesRequest,
  type RedeemInviteRequest,
} from "@tandem/contract/tandem/gateway/v1/invites";
import { type Invite, InviteStatus } from "@tandem/contract/tandem/invite/v1/invite";
import { createInviteOnce, type InviteKeys, toInvite, toStatusName } from "@tandem/invites";
import { type Database, parseRequestId, type Receipts } from "@tandem/postgres";
import { type Client, type HandlerContext, HandlerError, invalidField } from "@tandem/rpc";
import type { Deciding } from "../authority/deciding.ts";
import type { WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { scopedId } from "../authority/request-ids.ts";
import type { Attempts } from "./attempts.ts";
import { inviteLimits } from "./limits.ts";
import { parsePageToken, toPageToken } from "./page-token.ts";
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

// Who creates invites for the gateway's callers, on either side: the same request is known by it on both.
const CREATOR = "gateway";

export function createInvites(options: InvitesOptions): Invites {
  const { deciding, attempts, keys } = options;
  return {
    create: (request, context) => create(request, context, options),
    get: async (id, context) => {
      const parsed = parseUuid(id, "id");
      const [row] = await deciding.decide(
        (decider) => decider.read(step(statementsOf(decider.side).byId, { id: parsed }), context),
        context,
      );
      if (row === undefined) throw notFound(parsed);
      return toInvite(toRow(row));
    },
    list: (request, context) => list(request, context, deciding),
    revoke: async ({ id, requestId }, context) => {
      const parsed = parseUuid(id, "id");
      const write = writeOptions(context, requestId);
      return deciding.decide(async (decider) => {
        const statements = statementsOf(decider.side);
        const [revoked] = await decider.write([step(statements.revoke, { id: parsed })], write);
        const [row] =
          revoked.rows.length > 0
            ? revoked.rows
            : await decider.read(step(statements.byId, { id: parsed }), write);
        if (row === undefined) throw notFound(parsed);
        return toInvite(toRow(row));
      }, context);
    },
    redeem: (request, context) => {
      const write = writeOptions(context, request.requestId);
      const redemption = parseRedemption(request, write.requestId);
      return redeem(redemption, {
        attempts,
        keys: keys(),
        decide: (work) => deciding.decide(work, context),
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
    if (side === "assistant") {
      const created = await ingress.createIngressInvite(
        { requestId, ...(invite === undefined ? {} : { invite }) },
        { context },
      );
      if (created.invite === undefined)
        throw new TypeError("The assistant created an invite and didn't say which.");
      return { invite: created.invite, secrets: created.secrets ?? {} };
    }
    const { row, secrets } = await createInviteOnce(
      { database, receipts, table: "ingress_invites", keys: keys(), instanceId },
      { caller: CREATOR, requestId, invite, deadline, signal },
    );
    return { invite: toInvite(row), secrets: secrets ?? {} };
  }, context);
}

async function list(
  request: ListInvitesRequest,
  context: HandlerContext,
  deciding: Deciding,
): Promise<{ invites: Invite[]; nextPageToken: string }> {
  const { defaultPageSize, maxPageSize } = inviteLimits;
  if (request.pageSize < 0) throw invalidField({ field: "page_size", why: "must not be negative" });
  const pageSize = Math.min(request.pageSize === 0 ? defaultPageSize : request.pageSize, maxPageSize);
  const place = parsePageToken(request.pageToken);
  const values = {
    contactId: request.contactId === "" ? null : parseUuid(request.contactId, "contact_id"),
    sourceChannel: request.sourceChannel === "" ? null : request.sourceChannel,
    status: parseStatus(request.status),
    beforeTime: place?.createdAt ?? null,
    beforeId: place?.id ?? null,
    // One more, to know whether there is a next page.
    maxRows: pageSize + 1,
  };
  const rows = await deciding.decide(
    (decider) => decider.read(step(statementsOf(decider.side).page, values), context),
    context,
  );
  const page = rows.slice(0, pageSize);
  const last = rows.length > pageSize ? page.at(-1) : undefined;
  return {
    invites: page.map((row) => toInvite(toRow(row))),
    nextPageToken: last === undefined ? "" : toPageToken({ createdAt: last.created_at, id: last.id }),
  };
}

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

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

function parseUuid(given: string, field: string): string {
  const id = given.toLowerCase();
  if (UUID.test(id)) return id;
  throw invalidField({ field, why: "must be a UUID" });
}

function parseStatus(status: InviteStatus): string | null {
  if (status === InviteStatus.UNSPECIFIED) return null;
  const name = toStatusName(status);
  if (name === undefined) throw invalidField({ field: "status", why: "is none that this server knows" });
  return name;
}

function notFound(id: string): HandlerError {
  return new HandlerError({ reason: "INVITE_NOT_FOUND", message: `There is no invite ${id}.` });
}
