import { mirrorStatements } from "@tandem/assistant-statements";
import { callable, type DbProxy } from "@tandem/dbproxy";
import { idFrom, type MirroredAggregate, type MirrorItem, underOneId } from "@tandem/postgres";
import { HandlerError, TransportError } from "@tandem/rpc";

// So many are applied by one transaction.
const MAX_STEPS = 100;
// Receipts answer for a day: what changed before that goes under an id of now.
const MAX_AGE_MS = 12 * 60 * 60_000;

/** What the gateway decides about, as it is brought to the assistant. */
export function mirroredToAssistant(assistantDb: DbProxy): readonly MirroredAggregate[] {
  const deliver =
    (statement: (typeof mirrorStatements)["contact"]["apply"]): MirroredAggregate["deliver"] =>
    async (items, signal) => {
      const put = callable(statement);
      const send = async (some: readonly MirrorItem[]): Promise<readonly (Error | undefined)[]> => {
        const steps = some.map(({ id, version, state = null }) => put({ id, version, state }));
        try {
          await underOneId(requestIdOf(some), (requestId = "") =>
            assistantDb.transaction(steps, { requestId, signal }),
          );
          return some.map(() => undefined);
        } catch (error) {
          if (!(error instanceof HandlerError || error instanceof TransportError)) throw error;
          // Of several one is refused: each by itself then, so that it holds up none of the others.
          const isTheirs = error instanceof HandlerError && !error.retryable && some.length > 1;
          if (!isTheirs) return some.map(() => error);
          const each: (Error | undefined)[] = [];
          for (const item of some) each.push(...(await send([item])));
          return each;
        }
      };
      const results: (Error | undefined)[] = [];
      for (let from = 0; from < items.length; from += MAX_STEPS) {
        results.push(...(await send(items.slice(from, from + MAX_STEPS))));
      }
      return results;
    };
  return [
    { name: "contact", deliver: deliver(mirrorStatements.contact.apply) },
    // The assistant's invites refer to no contact: contacts are the gateway's there.
    { name: "invite", deliver: deliver(mirrorStatements.invite.apply) },
  ];
}

/** A UUIDv7 that follows from what is sent: a relay that takes over after another one sends the same again. */
function requestIdOf(items: readonly MirrorItem[]): string {
  const sent = items.map(({ id, version }) => `${id} ${version} `).join("");
  const changedAt = Math.max(...items.map(({ updatedAt }) => Date.parse(updatedAt)));
  const now = Date.now();
  const at = changedAt > now - MAX_AGE_MS && changedAt <= now ? changedAt : now;
  const time = Math.floor(at).toString(16).padStart(12, "0");
  return idFrom(`${time.slice(0, 8)}-${time.slice(8)}`, sent);
}
