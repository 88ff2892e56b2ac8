import { callable, type DbProxy, type Step } from "@tandem/dbproxy";
import { translateAssistantFailure } from "./assistant-failures.ts";
import type { Decider, ReadOptions, WriteOptions } from "./decider.ts";
import type { DeclaredStep, OutcomesOf, StepOutcome } from "./declared-step.ts";
import { scopedId, underOneId } from "./request-ids.ts";

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
            throw translateAssistantFailure(error, "write");
          });
        // As many as there are steps, each with the rows that its statement declares.
        return results as readonly StepOutcome[] as OutcomesOf<Steps>;
      }),
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
