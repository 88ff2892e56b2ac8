import { channelStatements } from "@tandem/assistant-statements";
import { hashesOf, type InviteKeys, type InviteRow, isSameHash, PHONE } from "@tandem/invites";
import { HandlerError, type Reason } from "@tandem/rpc";
import type { Decider, WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import type { Attempts } from "./attempts.ts";
import type { Redemption } from "./redeemer.ts";
import { statementsOf, toRow } from "./statements.ts";

export interface Redeemed {
  readonly invite: InviteRow;
  readonly contactId: string;
  readonly contactChannelId: string;
  readonly outcome: "redeemed" | "already member";
}

export interface RedeemOptions {
  readonly attempts: Attempts;
  readonly keys: InviteKeys;
  /** Runs work in the database that decides. */
  readonly decide: <T>(work: (decider: Decider) => Promise<T>) => Promise<T>;
  readonly write: WriteOptions;
}

/**
 * Records one use of an invite and lets the redeemer's channel in, both or neither. Fails with a HandlerError that says
 * why not, and spends no use then. Whoever is in already is told so, and spends none either.
 */
export async function redeem(redemption: Redemption, options: RedeemOptions): Promise<Redeemed> {
  const { sourceChannel: channel, address: redeemer } = redemption;
  const attempt = await options.attempts.reserve({ channel, redeemer }, options.write.signal);
  try {
    const redeemed = await options.decide((decider) => redeemAt(decider, redemption, options));
    await attempt.giveBack();
    return redeemed;
  } catch (thrown) {
    const error = redemption.shown.kind === "voice_code" ? alike(thrown) : thrown;
    // What was found was no guess, and what went wrong of itself isn't the redeemer's fault.
    const isWrong = error instanceof HandlerError && wrongGuesses.has(error.reason);
    await (isWrong ? attempt.wrong() : attempt.giveBack()).catch(() => undefined);
    throw error;
  }
}

// On the phone: whoever calls learns nothing by trying.
function alike(error: unknown): unknown {
  const isOfInvite = error instanceof HandlerError && error.reason in sentences;
  return isOfInvite
    ? new HandlerError({ reason: "INVITE_INVALID", message: sentences.INVITE_INVALID })
    : error;
}

const wrongGuesses: ReadonlySet<string> = new Set<Reason>(["INVITE_INVALID", "INVITE_CHANNEL_MISMATCH"]);

async function redeemAt(decider: Decider, redemption: Redemption, options: RedeemOptions): Promise<Redeemed> {
  const { sourceChannel: type, externalUserId, externalChatId, address, channelId: id } = redemption;
  const found = await lookUp(decider, redemption, options);
  // A copy of a request that used it up is answered by what that one left, so it is tried.
  const mayBeCopy = redemption.requestId !== undefined && isRedeemers(found, redemption);
  if (!mayBeCopy) assertLive(found);
  const statements = statementsOf(decider.side);
  try {
    const [claimed, admitted] = await decider.write(
      [
        step(statements.claim, { id: found.id, externalUserId, externalChatId }, { min: 1, max: 1 }),
        step(
          channelStatements.admit,
          { id, contactId: found.contact_id, type, address, externalUserId, externalChatId },
          { min: 1, max: 1 },
        ),
      ],
      options.write,
    );
    const [invite, channel] = [claimed.rows[0], admitted.rows[0]];
    if (invite === undefined || channel === undefined) throw new TypeError("A redemption gave no rows.");
    return {
      invite: toRow(invite),
      contactId: channel.contactId,
      contactChannelId: channel.id,
      outcome: "redeemed",
    };
  } catch (error) {
    const isUnmet =
      error instanceof HandlerError && (error.reason === "GUARD_UNMET" || error.reason === "REQUEST_REFUSED");
    if (!isUnmet) throw error;
    return classify(decider, found.id, redemption, options);
  }
}

/** The invite that a secret is of, whether it can be redeemed or not. */
async function lookUp(
  decider: Decider,
  { shown, sourceChannel, externalUserId }: Redemption,
  { keys, write }: RedeemOptions,
): Promise<InviteRow> {
  const statements = statementsOf(decider.side);
  const hashes = hashesOf(keys, shown);
  const statement = {
    token: statements.byToken,
    code: statements.byCode,
    voice_code: statements.byVoiceCode,
  }[shown.kind];
  const given = await decider.read(step(statement, { hashes: hashes.map(({ hash }) => hash) }), write);
  const column = ({ token: "token_hash", code: "invite_code_hash", voice_code: "voice_code_hash" } as const)[
    shown.kind
  ];
  const rows = given.map(toRow).filter((row) => hashes.some(({ hash }) => isSameHash(hash, row[column])));
  if (shown.kind === "token") return rows[0] ?? fail("INVITE_INVALID");
  const here = rows.find((row) => row.source_channel === sourceChannel);
  if (shown.kind === "voice_code") {
    const isExpected = sourceChannel === PHONE && here?.expected_external_user_id === externalUserId;
    return here !== undefined && isExpected ? here : fail("INVITE_INVALID");
  }
  if (here !== undefined) return here;
  const isElsewhere = rows.some((row) => row.status === "active" && !isExpired(row));
  return fail(isElsewhere ? "INVITE_CHANNEL_MISMATCH" : "INVITE_INVALID");
}

/** Why nothing was written, by what is there now. */
async function classify(
  decider: Decider,
  inviteId: string,
  redemption: Redemption,
  { write }: RedeemOptions,
): Promise<Redeemed> {
  const { sourceChannel: type, address } = redemption;
  const [given] = await decider.read(step(statementsOf(decider.side).byId, { id: inviteId }), write);
  if (given === undefined) return fail("INVITE_INVALID");
  const invite = toRow(given);
  const [channel] = await decider.read(step(channelStatements.byAddress, { type, address }), write);
  if (channel?.status === "active" && channel.contactId === invite.contact_id) {
    return { invite, contactId: channel.contactId, contactChannelId: channel.id, outcome: "already member" };
  }
  if (channel?.status === "blocked") return fail("INVITE_INVALID");
  assertLive(invite);
  // It could be redeemed by now: what was in the way is gone.
  throw new HandlerError({
    reason: "SERIALIZATION_FAILURE",
    message: "Somebody else changed the invite or the channel at the same time: try again.",
  });
}

function isRedeemers(row: InviteRow, { externalUserId, externalChatId }: Redemption): boolean {
  return (
    row.redeemed_by_external_user_id === externalUserId && row.redeemed_by_external_chat_id === externalChatId
  );
}

function assertLive(row: InviteRow): void {
  if (row.status === "revoked") fail("INVITE_REVOKED");
  if (row.status === "redeemed" || row.use_count >= row.max_uses) fail("INVITE_EXHAUSTED");
  if (row.status === "expired" || isExpired(row)) fail("INVITE_EXPIRED");
}

const isExpired = (row: InviteRow): boolean => Date.parse(row.expires_at) <= Date.now();

const sentences = {
  INVITE_INVALID: "This is no secret of an invite.",
  INVITE_CHANNEL_MISMATCH: "This code is for another channel.",
  INVITE_REVOKED: "The invite was revoked.",
  INVITE_EXHAUSTED: "The invite was used as often as it may be.",
  INVITE_EXPIRED: "The invite has expired.",
} as const;

function fail(reason: keyof typeof sentences): never {
  throw new HandlerError({ reason, message: sentences[reason] });
}
