import type {
  CreateInviteRequest,
  ListInvitesRequest,
  RedeemInviteRequest,
} from "@tandem/contract/tandem/gateway/v1/invites";
import type { Invite } from "@tandem/contract/tandem/invite/v1/invite";
import { parseUuid, toInvite } from "@tandem/invites";
import { parseRequestId } from "@tandem/postgres";
import type { HandlerContext } from "@tandem/rpc";
import { decideOnce } from "../authority/decide-once.ts";
import type { WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import type { Attempts } from "./attempts.ts";
import { createAtDecider, type CreationAnswer, type InviteCreationOptions } from "./create-at-decider.ts";
import { inviteLimits } from "./limits.ts";
import { parsePage, readInvite, readPage } from "./read-invites.ts";
import { redeem, type Redeemed } from "./redeem.ts";
import { parseRedemption } from "./redeemer.ts";
import { statementsOf, toRow } from "./statements.ts";

export interface InvitesOptions extends InviteCreationOptions {
  readonly attempts: Attempts;
}

/** Invites, in whichever database decides. Functions fail with HandlerErrors. */
export interface Invites {
  create(request: CreateInviteRequest, context: HandlerContext): Promise<CreationAnswer>;
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

export function createInvites(options: InvitesOptions): Invites {
  const { deciding, attempts, keys } = options;
  return {
    create: (request, context) => createAtDecider(request, context, options),
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
          const write = { caller: "gateway", requestId: undefined, deadline: undefined, signal };
          const [expired] = await decider.write([step(expire, { maxRows: inviteLimits.expireBatch })], write);
          return Number(expired.changes);
        },
        { deadline: undefined, signal },
      ),
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
