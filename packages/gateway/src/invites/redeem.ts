import { timestampMs } from "@bufbuild/protobuf/wkt";
import { channelStatements } from "@tandem/assistant-statements";
import { hashesOf, type InviteKeys, type InviteRow, isSameHash, PHONE, toTimestamp } from "@tandem/invites";
import { HandlerError, type Reason } from "@tandem/rpc";
import type { Decider, WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { requireAuthority } from "../authority/require-authority.ts";
import { writeGuarded } from "../contacts/write-guarded.ts";
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
  const look: Look = { found: undefined };
  const redeemed = await options
    .decide((decider) => redeemAt(decider, redemption, { ...options, look }))
    .catch(async (thrown: unknown) => {
      const error = redemption.shown.kind === "voice_code" ? alike(thrown) : thrown;
      const isWrong = error instanceof HandlerError && wrongGuesses.has(error.reason);
      // Who leaves once it is looked up has guessed all the same: with the right secret they would be let in.
      if (isWrong || look.found === false) await attempt.wrong().catch(() => undefined);
      // What was found was no guess, and what goes wrong of itself isn't the redeemer's fault. That they leave is.
      else if (look.found || !options.write.signal.aborted) await attempt.giveBack().catch(() => undefined);
      throw error;
    });
  // They are in, whether it is known by then that this was no guess or not.
  await attempt.giveBack().catch(() => undefined);
  return redeemed;
}

/** Whether what was read so far has the secret; undefined where nothing was. */
interface Look {
  found: boolean | undefined;
}

type Looking = RedeemOptions & { readonly look: Look };

// On the phone: whoever calls learns nothing by trying.
function alike(error: unknown): unknown {
  const isOfInvite = error instanceof HandlerError && error.reason in sentences;
  return isOfInvite ? refused("INVITE_INVALID") : error;
}

const wrongGuesses: ReadonlySet<string> = new Set<Reason>(["INVITE_INVALID", "INVITE_CHANNEL_MISMATCH"]);

async function redeemAt(decider: Decider, redemption: Redemption, options: Looking): Promise<Redeemed> {
  const found = await lookUp(decider, redemption, options);
  const refusal = refusalOf(found);
  // A copy of a request that was committed is answered by what that left, whatever became of the invite since.
  if (refusal !== undefined && redemption.requestId === undefined) throw refusal;
  let verdict: Redeemed | HandlerError | undefined;
  const write = async (): Promise<Redeemed> => {
    try {
      return await claimAndAdmit(decider, found, redemption, options.write);
    } catch (error) {
      if (!isUnmet(error)) throw error;
      verdict = refusal ?? (await classify(decider, found.id, { redemption, options, unmet: error }));
      if (verdict !== undefined && !(verdict instanceof HandlerError)) return verdict;
      throw error.reason === "REQUEST_REFUSED" && verdict !== undefined ? verdict : error;
    }
  };
  return writeGuarded(write, {
    signal: options.write.signal,
    explain: async () => (verdict instanceof HandlerError ? verdict : undefined),
  });
}

/** The one transaction: a use and access, or neither. */
async function claimAndAdmit(
  decider: Decider,
  { id: inviteId, contact_id: contactId }: InviteRow,
  { sourceChannel: type, externalUserId, externalChatId, address, channelId: id }: Redemption,
  options: WriteOptions,
): Promise<Redeemed> {
  const statements = statementsOf(decider.side);
  const [, claimed, admitted] = await decider.write(
    [
      // As everybody does who writes channels: then nobody waits for somebody who waits for it.
      step(channelStatements.lockContacts, { contactId, type, address }),
      step(statements.claim, { id: inviteId, externalUserId, externalChatId }, { min: 1, max: 1 }),
      step(
        channelStatements.admit,
        { id, contactId, type, address, externalUserId, externalChatId },
        { min: 1, max: 1 },
      ),
    ],
    options,
  );
  const [invite, channel] = [claimed.rows[0], admitted.rows[0]];
  if (invite === undefined || channel === undefined) throw new TypeError("A redemption gave no rows.");
  return {
    invite: toRow(invite),
    contactId: channel.contactId,
    contactChannelId: channel.id,
    outcome: "redeemed",
  };
}

/** The claim's place among the steps. */
const CLAIM_STEP = 1;

function isUnmet(error: unknown): error is HandlerError {
  return (
    error instanceof HandlerError && (error.reason === "GUARD_UNMET" || error.reason === "REQUEST_REFUSED")
  );
}

/** The invite that a secret is of, whether it can be redeemed or not. */
async function lookUp(
  decider: Decider,
  redemption: Redemption,
  { keys, write, look }: Looking,
): Promise<InviteRow> {
  const found = await read();
  if (typeof found !== "string") return found;
  // What a mirror lacks may be on its way.
  await requireAuthority(decider, write);
  const there = await read();
  if (typeof there !== "string") return there;
  throw refused(there);

  async function read(): Promise<InviteRow | "INVITE_INVALID" | "INVITE_CHANNEL_MISMATCH"> {
    const { shown } = redemption;
    const hashes = hashesOf(keys, shown);
    const { statement, column } = secretsAt(decider)[shown.kind];
    const given = await decider.read(step(statement, { hashes: hashes.map(({ hash }) => hash) }), write);
    const rows = given.map(toRow).filter((row) => hashes.some(({ hash }) => isSameHash(hash, row[column])));
    const chosen = choose(rows, redemption);
    look.found = typeof chosen !== "string";
    return chosen;
  }
}

function secretsAt({ side }: Decider) {
  const { byToken, byCode, byVoiceCode } = statementsOf(side);
  return {
    token: { statement: byToken, column: "token_hash" },
    code: { statement: byCode, column: "invite_code_hash" },
    voice_code: { statement: byVoiceCode, column: "voice_code_hash" },
  } as const;
}

/** Of those that have the secret, live ones first, the one that is meant. */
function choose(
  rows: readonly InviteRow[],
  { shown, sourceChannel, externalUserId, address }: Redemption,
): InviteRow | "INVITE_INVALID" | "INVITE_CHANNEL_MISMATCH" {
  if (shown.kind === "token") return rows[0] ?? "INVITE_INVALID";
  const here = rows.find((row) => row.source_channel === sourceChannel);
  if (shown.kind === "voice_code") {
    const isExpected =
      sourceChannel === PHONE && externalUserId !== null && here?.expected_external_user_id === address;
    return here !== undefined && isExpected ? here : "INVITE_INVALID";
  }
  if (here !== undefined) return here;
  return rows.some((row) => refusalOf(row) === undefined) ? "INVITE_CHANNEL_MISMATCH" : "INVITE_INVALID";
}

/** Why nothing was written, by what is there now. Undefined where nothing is in the way any more. */
async function classify(
  decider: Decider,
  inviteId: string,
  {
    redemption,
    options: { write },
    unmet,
  }: { readonly redemption: Redemption; readonly options: RedeemOptions; readonly unmet: HandlerError },
): Promise<Redeemed | HandlerError | undefined> {
  const { sourceChannel: type, address, externalUserId } = redemption;
  await requireAuthority(decider, write);
  const [given] = await decider.read(step(statementsOf(decider.side).byId, { id: inviteId }), write);
  if (given === undefined) return refused("INVITE_INVALID");
  const invite = toRow(given);
  const [channel] = await decider.read(
    step(channelStatements.standing, { type, address, externalUserId }),
    write,
  );
  if (channel?.status === "blocked") return refused("INVITE_INVALID");
  if (channel?.status === "active" && channel.contactId === invite.contact_id) {
    return { invite, contactId: channel.contactId, contactChannelId: channel.id, outcome: "already member" };
  }
  // What lives and has uses left could be claimed until its time was up, by the clock of the database.
  const isOver = unmet.reason === "GUARD_UNMET" && unmet.step === CLAIM_STEP;
  return refusalOf(invite) ?? (isOver ? refused("INVITE_EXPIRED") : undefined);
}

/** Why an invite can't be redeemed, whoever comes. */
function refusalOf(row: InviteRow): HandlerError | undefined {
  if (row.status === "revoked") return refused("INVITE_REVOKED");
  if (row.status === "redeemed" || row.use_count >= row.max_uses) return refused("INVITE_EXHAUSTED");
  if (row.status === "expired" || isExpired(row)) return refused("INVITE_EXPIRED");
  return undefined;
}

const isExpired = (row: InviteRow): boolean => timestampMs(toTimestamp(row.expires_at)) <= Date.now();

const sentences = {
  INVITE_INVALID: "This is no secret of an invite.",
  INVITE_CHANNEL_MISMATCH: "This code is for another channel.",
  INVITE_REVOKED: "The invite was revoked.",
  INVITE_EXHAUSTED: "The invite was used as often as it may be.",
  INVITE_EXPIRED: "The invite has expired.",
} as const;

function refused(reason: keyof typeof sentences): HandlerError {
  return new HandlerError({ reason, message: sentences[reason] });
}
