import type { HandlerError, TimeSlices } from "@tandem/rpc";
import { attempt, notCommitted } from "./attempt.ts";
import { type Beliefs, blames, createBeliefs, type Doubt, StaleBeliefError } from "./beliefs.ts";
import { bindingValues, type Place, type ReturnedValue } from "./bind-values.ts";
import type { Catalog } from "./catalog.ts";
import { type Described, learnTypes, toDescribed } from "./describe-statement.ts";
import { type Description, type Descriptions, sameDescription } from "./description.ts";
import { assertGuard, resolveReference } from "./guards.ts";
import type { Borrowed, FlushStatement } from "./lease.ts";
import type { DbProxyLimits } from "./limits.ts";
import { assertAsDeclared } from "./registered/assert-declared.ts";
import type { RoundOutcome } from "./round.ts";
import { checkingResult, type StepResult } from "./step-result.ts";
import type { Step } from "./transaction-request.ts";
import { losesUnsaid } from "./values/loses-unsaid.ts";
import type { Bound } from "./values/encode-param.ts";
import type { GivenValue } from "./wire/given.ts";

/** What the steps of a transaction run with. */
export interface StepsRun {
  readonly borrowed: Borrowed;
  readonly signal: AbortSignal;
  readonly catalog: Catalog;
  readonly descriptions: Descriptions;
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
  /** Nothing is believed that PostgreSQL hasn't said within this transaction. */
  readonly careful: boolean;
}

export interface Work {
  /** Go out before the first step, in the same flush: BEGIN and the like. */
  readonly opening: readonly FlushStatement[];
  readonly steps: readonly Step[];
  /** Go out behind the last step, in the same flush, and end the transaction. */
  readonly closing?: readonly FlushStatement[];
  readonly placeOf: (index: number) => Place;
}

/** Steps that can be sent together: nothing in one of them waits for what another one gives. */
interface Wave {
  readonly ready: readonly {
    readonly step: Step;
    readonly description: Description;
    readonly columns: Described["columns"];
    readonly values: readonly Bound[];
    /** It isn't kept prepared. */
    readonly once: boolean;
  }[];
  /** Texts that PostgreSQL has to be asked about before the steps behind these can be sent. */
  readonly unknown: readonly string[];
  /** Why the step behind these can't be run at all. */
  readonly refusal: HandlerError | undefined;
}

/**
 * Runs steps in as few flushes as they allow: one, where every text is known and no step refers to another. Steps
 * are sent ahead of their verdict, and the report stays that of one after the other: the first step, in order, that
 * failed or whose guard is unmet. Fails with a StaleBeliefError where what was known of a statement is out of date;
 * then nothing is decided, and the transaction is to be rolled back and run again.
 */
export async function runSteps(work: Work, run: StepsRun): Promise<StepResult[]> {
  const beliefs = createBeliefs(run.descriptions, run.careful);
  const results: StepResult[] = [];
  let { opening } = work;
  while (results.length < work.steps.length) {
    const wave = await composeWave(work, results, { run, beliefs });
    const { ready, unknown, refusal } = wave;
    if (ready.length === 0 && refusal !== undefined) throw refusal;
    const isLast = results.length + ready.length === work.steps.length;
    const closing = isLast ? work.closing : undefined;
    const outcome = await run.borrowed.flush(
      [
        ...opening,
        ...ready.map(({ step, description, values, once }) => ({
          text: step.runnable.sql,
          description,
          once,
          execute: { values, maxRows: run.limits.maxRows + 1 },
        })),
        ...unknown.map((text) => ({ text, description: "unknown" as const, once: true })),
        ...(closing ?? []),
      ],
      { last: closing !== undefined },
    );
    await judge(wave, { work, outcome, before: opening.length, results, run, beliefs });
    opening = [];
  }
  return results;
}

async function composeWave(
  { steps, placeOf }: Work,
  results: readonly StepResult[],
  { run, beliefs }: { readonly run: StepsRun; readonly beliefs: Beliefs },
): Promise<Wave> {
  const ready: Wave["ready"][number][] = [];
  for (let index = results.length; index < steps.length; index += 1) {
    const step = steps[index];
    if (step === undefined || waits(step, results.length)) break;
    const description = beliefs.of(step.runnable.sql);
    if (description === undefined) break;
    try {
      const { registered } = step.runnable;
      const place = placeOf(index);
      const described = toDescribed(description, run.catalog);
      const values = valuesOf(step, index, results);
      if (registered !== undefined) assertAsDeclared(registered, described, whereOf(place));
      const binding = bindingValues(values, described.params, { ...place, registered });
      const bound = await run.slices.run(binding);
      const once = described.params.some(losesUnsaid);
      ready.push({ step, description, columns: described.columns, values: bound, once });
    } catch (error) {
      const refusal = notCommitted(error, { signal: run.signal, step: placeOf(index).step });
      if (beliefs.isFresh(step.runnable.sql)) return { ready, unknown: [], refusal };
      // Perhaps the types aren't those any more.
      beliefs.doubt(step.runnable.sql);
      break;
    }
  }
  return {
    ready,
    unknown: unknownBehind(steps.slice(results.length + ready.length), { run, beliefs }),
    refusal: undefined,
  };
}

function unknownBehind(
  [next, ...others]: readonly Step[],
  { run, beliefs }: { readonly run: StepsRun; readonly beliefs: Beliefs },
): readonly string[] {
  if (next === undefined) return [];
  // An error in a text that is asked about too early would hide what the steps before it say.
  const asked = run.careful ? [next] : [next, ...others];
  return [...new Set(asked.map(({ runnable }) => runnable.sql))].filter(
    (text) => beliefs.of(text) === undefined,
  );
}

const waits = ({ params }: Step, known: number): boolean =>
  params.some((param) => param.case === "ref" && param.value.step >= known);

const whereOf = ({ step }: Place): { readonly step?: number } => (step === undefined ? {} : { step });

function valuesOf(
  step: Step,
  index: number,
  results: readonly StepResult[],
): readonly (GivenValue | ReturnedValue)[] {
  return step.params.map((param) =>
    param.case === "ref" ? resolveReference(param.value, index, results) : param,
  );
}

interface Judging {
  readonly work: Work;
  readonly outcome: RoundOutcome;
  /** How many statements stood before the wave's. */
  readonly before: number;
  readonly results: StepResult[];
  readonly run: StepsRun;
  readonly beliefs: Beliefs;
}

/** Goes through what came back in order, adds the results, and fails with what comes first. */
async function judge({ ready, unknown, refusal }: Wave, judging: Judging): Promise<void> {
  const { work, results, run, before } = judging;
  const { failure } = judging.outcome;
  if (failure !== undefined && failure.at < before) throw failureAt(undefined, judging);
  for (const [offset, sent] of ready.entries()) await judgeStep({ ...sent, at: before + offset }, judging);
  if (refusal !== undefined) throw refusal;
  if (failure === undefined && unknown.length === 0) return;
  if (failure === undefined) return attempt(run.signal, undefined, () => learn(unknown, judging));
  const behind = before + ready.length;
  const next = work.steps[results.length];
  if (failure.at === behind && unknown.length > 0 && unknown[0] === next?.runnable.sql) {
    throw notCommitted(failure.error, { signal: run.signal, step: work.placeOf(results.length).step });
  }
  // Of a text that was asked about early: what the steps before it have to say comes first.
  if (failure.at < behind + unknown.length) {
    const lost = notCommitted(failure.error, { signal: run.signal, step: undefined });
    throw new StaleBeliefError({ failure: lost });
  }
  throw failureAt(undefined, judging);
}

async function judgeStep(
  { step, description, columns, at }: Wave["ready"][number] & { readonly at: number },
  judging: Judging,
): Promise<void> {
  const { work, outcome, results, run, beliefs } = judging;
  const answer = outcome.answers[at];
  const place = work.placeOf(results.length);
  if (answer?.description !== undefined) {
    if (!sameDescription(answer.description, description)) {
      beliefs.drop(step.runnable.sql);
      throw new StaleBeliefError();
    }
    beliefs.hear(step.runnable.sql, answer.description, true);
  }
  if (outcome.failure?.at === at) {
    const doubt = beliefs.isFresh(step.runnable.sql) ? undefined : { text: step.runnable.sql, description };
    if (blames(outcome.failure.error) === "stale") beliefs.drop(step.runnable.sql);
    throw failureAt({ step: place.step, doubt }, judging);
  }
  const { rows = [], tag = "" } = answer ?? {};
  const { registered } = step.runnable;
  const checking = checkingResult({ rows, tag }, columns, {
    limits: run.limits,
    step: place.step,
    registered,
  });
  const result = await attempt(run.signal, place.step, async () => run.slices.run(checking));
  assertGuard(step, results.length, result.changes);
  results.push(result);
}

/** What the flush failed with, or a StaleBeliefError where that may come of what was believed. */
function failureAt(
  step: { readonly step: number | undefined; readonly doubt: Doubt | undefined } | undefined,
  { outcome, run }: Judging,
): Error {
  const error = outcome.failure?.error;
  const failure = notCommitted(error, { signal: run.signal, step: step?.step });
  const blamed = run.careful ? undefined : blames(error);
  if (blamed === "stale") return new StaleBeliefError({ failure });
  if (blamed === "suspect" && step?.doubt !== undefined) {
    return new StaleBeliefError({ failure, doubt: step.doubt });
  }
  return failure;
}

/** Keeps what PostgreSQL said of the texts that it was asked about. */
async function learn(unknown: readonly string[], judging: Judging): Promise<void> {
  const { outcome, run, beliefs } = judging;
  const first = outcome.answers.length - unknown.length;
  for (const [offset, text] of unknown.entries()) {
    const description = outcome.answers[first + offset]?.description;
    if (description === undefined) continue;
    await learnTypes(description, run);
    beliefs.hear(
      text,
      description,
      !run.catalog.knows([...description.paramTypes, ...description.fields.map((f) => f.dataTypeID)]),
    );
  }
}
