import { callable, type DbProxy, type Step } from "@tandem/dbproxy";
import { stateUnderOneId, underOneId } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { translateAssistantFailure } from "./assistant-failures.ts";
import type { Decider, ReadOptions, WriteOptions } from "./decider.ts";
import type { DeclaredStep, OutcomesOf, StepOutcome } from "./declared-step.ts";
import { scopedId } from "./scoped-id.ts";

/** The assistant's database. What keeps it from deciding is not waited for here: the gateway may decide by then. */
export function createAssistantDecider(assistantDb: DbProxy): Decider {
  return {
    side: "assistant",
    write: <const Steps extends readonly DeclaredStep[]>(steps: Steps, options: WriteOptions) =>
      underOneId(scoped(options), async (requestId) => {
        const given = requestId === undefined ? {} : { requestId };
        const { results } = await assistantDb
          .transaction(steps.map(toStep), { ...toBounds(options), ...given })
          .catch((error: unknown) => {
            throw translateAssistantFailure(asMoving(error), "write");
          });
        // As many as there are steps, each with the rows that its statement declares.
        return results as readonly StepOutcome[] as OutcomesOf<Steps>;
      }),
    hasCommitted: async ({ caller, requestId, ...bounds }) => {
      const state = await stateUnderOneId(scopedId(caller, requestId), async (id) => {
        const receipt = await assistantDb.receipt(id, toBounds(bounds)).catch((error: unknown) => {
          throw translateAssistantFailure(error, "read");
        });
        return receipt.state;
      });
      // What is too old to be known is refused as such by the write.
      return state === "committed" || state === "expired";
    },
    read: async <Row extends object>(step: DeclaredStep<Row>, options: ReadOptions) => {
      const { rows } = await assistantDb
        .query(toStatement(step), { ...toBounds(options), primary: true })
        .catch((error: unknown) => {
          throw translateAssistantFailure(error, "read");
        });
      return rows as readonly Row[];
    },
  };
}

/**
 * A copy that came while the authority moves is settled as not committed, and its id is spent. That the authority moves is
 * what has to be waited out: without it one id after the other would be spent meanwhile.
 */
function asMoving(error: unknown): unknown {
  if (!(error instanceof HandlerError) || error.reason !== "REQUEST_REFUSED") return error;
  const { cause } = error;
  if (!(cause instanceof HandlerError) || cause.reason !== "NOT_AUTHORITATIVE") return error;
  return new HandlerError({ reason: "NOT_AUTHORITATIVE", message: cause.message, cause: error });
}

/** To the assistant all of the gateway's callers are one. */
function scoped({ caller, requestId }: WriteOptions): string | undefined {
  return requestId === undefined ? undefined : scopedId(caller, requestId);
}

const toStatement = ({ statement, values }: DeclaredStep) => callable(statement)(values);

function toStep(step: DeclaredStep): Step {
  const statement = toStatement(step);
  return step.guard === undefined ? statement : { statement, guard: step.guard };
}

function toBounds({ deadline, signal }: ReadOptions) {
  return {
    signal,
    ...(deadline === undefined ? {} : { timeoutMs: Math.max(1, deadline.getTime() - Date.now()) }),
  };
}
