import { mirrorStatements } from "@tandem/assistant-statements";
import { callable, type DbProxy } from "@tandem/dbproxy";
import {
  idFrom,
  bringInGroups,
  isOfTheItem,
  mayBeOfOne,
  type MirroredAggregate,
  type MirrorItem,
} from "@tandem/postgres";
import { HandlerError, StatusCode, TransportError } from "@tandem/rpc";

// So many are applied by one transaction.
const MAX_STEPS = 100;
// Of those that are applied by one each.
const AT_ONCE = 8;
// Receipts answer for a day: what changed before that goes under an id of now.
const MAX_AGE_MS = 12 * 60 * 60_000;

/** What the gateway decides about, as it is brought to the assistant. */
export function mirroredToAssistant(assistantDb: DbProxy): readonly MirroredAggregate[] {
  const deliver = (
    statement: (typeof mirrorStatements)["contact"]["apply"],
  ): MirroredAggregate["deliver"] => {
    const put = callable(statement);
    const send = async (items: readonly MirrorItem[], signal: AbortSignal): Promise<Error | undefined> => {
      const steps = items.map(({ id, version, state = null }) => put({ id, version, state }));
      const apply = (requestId?: string) =>
        assistantDb.transaction(steps, { signal, ...(requestId === undefined ? {} : { requestId }) });
      return apply(requestIdOf(items))
        .catch((error: unknown) => {
          if (isSpent(error)) return apply();
          throw error;
        })
        .then(() => undefined, asFailure);
    };
    return (items, signal) =>
      bringInGroups(items, MAX_STEPS, async (some) => {
        const failure = await send(some, signal);
        const isTheirs = isOfTheItem(failure) || mayBeOfOne(failure);
        if (!isTheirs || some.length === 1 || signal.aborted) return some.map(() => failure);
        // One of several may be the reason: each by itself then, so that it holds up none of the others.
        return bringInGroups(some, AT_ONCE, (few) => Promise.all(few.map((item) => send([item], signal))));
      });
  };
  return [
    { name: "contact", deliver: deliver(mirrorStatements.contact.apply) },
    // The assistant's invites refer to no contact: contacts are the gateway's there.
    { name: "invite", deliver: deliver(mirrorStatements.invite.apply) },
  ];
}

/**
 * A UUIDv7 that follows from what is sent: a relay that takes over after another one sends the same again. Nothing more
 * hangs on it, since versions tell what the assistant has already.
 */
function requestIdOf(items: readonly MirrorItem[]): string {
  const sent = items.map(({ id, version }) => `${id} ${version} `).join("");
  const changedAt = Math.max(...items.map(({ updatedAt }) => Date.parse(updatedAt)));
  const now = Date.now();
  const at = changedAt > now - MAX_AGE_MS && changedAt <= now ? changedAt : now;
  const time = Math.floor(at).toString(16).padStart(12, "0");
  return idFrom(`${time.slice(0, 8)}-${time.slice(8)}`, sent);
}

// Nothing will be applied under it any more: a send that failed, behind a lock, was settled as one that never will be.
const spent: ReadonlySet<string> = new Set(["REQUEST_REFUSED", "REQUEST_ID_REUSED", "REQUEST_ID_EXPIRED"]);

function isSpent(error: unknown): boolean {
  return error instanceof HandlerError && spent.has(error.reason);
}

// What is neither is a defect, and no failure of these items.
function asFailure(error: unknown): HandlerError | TransportError {
  if (error instanceof HandlerError) return error;
  if (!(error instanceof TransportError)) throw error;
  if (error.code !== StatusCode.RESOURCE_EXHAUSTED) return error;
  // By this name load has a reason: without one it is that no message can hold what was to be sent.
  return new HandlerError({ reason: "REQUEST_TOO_LARGE", message: error.message, cause: error });
}
