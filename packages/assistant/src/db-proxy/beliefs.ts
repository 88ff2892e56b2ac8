import { attempt } from "./attempt.ts";
import { isStalePlan, recogniseError } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { type Description, type Descriptions, sameDescription } from "./description.ts";
import { type Borrowed, ROLLBACK } from "./lease.ts";

/** What a transaction believes of its statements, and what of that it has heard itself. */
export interface Beliefs {
  of(text: string): Description | undefined;
  /** Whether PostgreSQL said it within this transaction, whose locks keep it true. */
  isFresh(text: string): boolean;
  /** PostgreSQL has said it; `alone`: to this transaction, and others are not to go by it. */
  hear(text: string, description: Description, alone?: boolean): void;
  /** From now on it is only believed when it has been heard. */
  doubt(text: string): void;
  /** It isn't so any more: nobody is to believe it. */
  drop(text: string): void;
}

/** `careful`: nothing is believed that has not been heard. */
export function createBeliefs(descriptions: Descriptions, careful: boolean): Beliefs {
  const heard = new Map<string, Description>();
  const doubted = new Set<string>();
  return {
    of: (text) => heard.get(text) ?? (careful || doubted.has(text) ? undefined : descriptions.get(text)),
    isFresh: (text) => heard.has(text),
    hear: (text, description, alone) => {
      heard.set(text, description);
      if (alone !== true) descriptions.set(text, description);
    },
    doubt: (text) => void doubted.add(text),
    drop: (text) => descriptions.delete(text),
  };
}

/** A belief that a failure may come of. */
export interface Doubt {
  readonly text: string;
  readonly description: Description;
}

interface Suspicion {
  /** What is reported where the belief turns out to be true, or nobody can be asked any more. */
  readonly failure: HandlerError;
  readonly doubt?: Doubt;
}

/** A transaction went by what was believed of a statement, and that isn't, or may not be, so any more. */
export class StaleBeliefError extends Error {
  override readonly name = "StaleBeliefError";
  readonly suspicion: Suspicion | undefined;

  constructor(suspicion?: Suspicion) {
    super("What was known of a statement is out of date.");
    this.suspicion = suspicion;
  }
}

// A parameter or a column of another type than is believed makes errors that look like the caller's: 22003, 42804,
// XX000 for a type that is gone.
const SUSPECT = /^(22|42|XX000)/;

/** Whether an error can come of what was believed: surely ("stale"), perhaps, or not at all. */
export function blames(error: unknown): "stale" | "suspect" | undefined {
  if (isStalePlan(error)) return "stale";
  const found = recogniseError(error);
  return found?.kind === "server" && SUSPECT.test(found.sqlstate) ? "suspect" : undefined;
}

/**
 * Runs a transaction on what is believed of its statements; where that turns out to be out of date, it is rolled
 * back and run again, once, on nothing but what PostgreSQL says then.
 */
export async function withBeliefs<T>(
  { borrowed, signal }: { readonly borrowed: Borrowed; readonly signal: AbortSignal },
  transaction: (careful: boolean) => Promise<T>,
): Promise<T> {
  try {
    return await transaction(false);
  } catch (error) {
    if (!(error instanceof StaleBeliefError)) throw error;
    await attempt(signal, undefined, () => undo(borrowed, error.suspicion));
    borrowed.startOver();
    return transaction(true).catch((again: unknown) => {
      throw again instanceof StaleBeliefError ? changedAgain(again) : again;
    });
  }
}

// It heard of the statement in one flush, and it was another one in the next.
function changedAgain({ suspicion }: StaleBeliefError): HandlerError {
  const message = "The tables were being changed while it ran: nothing of it is committed, try again.";
  return suspicion?.failure ?? new HandlerError({ reason: "SERIALIZATION_FAILURE", message });
}

/** Rolls back. Fails with what is suspected where the belief is true after all. */
async function undo(borrowed: Borrowed, suspicion: Suspicion | undefined): Promise<void> {
  const { failure: suspected, doubt } = suspicion ?? {};
  const again =
    doubt === undefined ? [] : [{ text: doubt.text, description: "unknown", once: true } as const];
  const { answers, failure } = await borrowed.flush([ROLLBACK, ...again]);
  const now = answers[1]?.description;
  const isTrue = doubt !== undefined && now !== undefined && sameDescription(now, doubt.description);
  if (suspected !== undefined && (isTrue || failure?.at === 0)) throw suspected;
  if (failure?.at === 0) throw failure.error;
}
