import { createHash } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import { newRequestId } from "@tandem/dbproxy";
import {
  applyOnce,
  type Database,
  parseRequestIdentity,
  type Receipts,
  stateUnderOneId,
  underOneId,
} from "@tandem/postgres";
import { runDeclared } from "../store/run-declared.ts";
import type { Decider, ReadOptions, WriteOptions } from "./decider.ts";
import type { DeclaredStep, OutcomesOf, StepOutcome } from "./declared-step.ts";

/** The gateway's own database. */
export function createOwnDecider(options: {
  readonly database: Database;
  readonly receipts: Receipts;
  readonly instanceId: string;
}): Decider {
  const { database, receipts, instanceId } = options;
  return {
    side: "gateway",
    write: <const Steps extends readonly DeclaredStep[]>(steps: Steps, given: WriteOptions) =>
      underOneId(given.requestId, async (requestId) => {
        const { caller, deadline, signal } = given;
        const identity = parseRequestIdentity({
          caller,
          requestId: requestId ?? newRequestId(),
          // One that was given may have been sent before.
          attempt: requestId === undefined ? 0 : 1,
          fingerprint: fingerprintOf(steps),
          requestedAt: new Date(),
          sourceInstanceId: instanceId,
        });
        const response = await applyOnce(
          database,
          { identity, patience: { deadline, signal }, receipts },
          async ({ run }) => {
            const outcomes: StepOutcome[] = [];
            for (const [index, step] of steps.entries()) outcomes.push(await runDeclared(run, step, index));
            return serialize(outcomes);
          },
        );
        // As many as there are steps, each with the rows that its statement declares.
        return deserialize(response) as OutcomesOf<Steps>;
      }),
    hasCommitted: async ({ caller, requestId, deadline, signal }) => {
      const state = await stateUnderOneId(requestId, async (id) => {
        const receipt = await receipts.find({ caller, requestId: id }, { deadline, signal });
        return receipt?.state ?? "not found";
      });
      return state === "committed";
    },
    read: async <Row extends object>(step: DeclaredStep<Row>, { signal }: ReadOptions) => {
      signal.throwIfAborted();
      const { rows } = await runDeclared(database.run, step, undefined);
      return rows as readonly Row[];
    },
  };
}

/** Of what is asked for: the statements and the values, which are JSON but for integers and bytes. */
function fingerprintOf(steps: readonly DeclaredStep[]): Uint8Array {
  const asked = steps.map(({ statement, values, guard }) => [statement.name, values, guard ?? null]);
  const text = JSON.stringify(asked, (_name, value: unknown) =>
    typeof value === "bigint"
      ? `${value}n`
      : value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : value,
  );
  return createHash("sha256").update(text).digest();
}
