import type { DeclaredStep, OutcomesOf, StepOutcome } from "./declared-step.ts";

/** Whose database decides about contacts and invites. */
export type Side = "gateway" | "assistant";

/** A write of somebody's, as it is told from others and known again. */
export interface WriteOptions {
  /** Who wants it: the same id of another caller is another write. */
  readonly caller: string;
  /** A UUIDv7 under which it is applied once, however often it is sent; one is made where none is given. */
  readonly requestId: string | undefined;
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;
}

export type ReadOptions = Pick<WriteOptions, "deadline" | "signal">;

/** The database that decides: the gateway's own, or the assistant's through DbProxy. */
export interface Decider {
  readonly side: Side;
  /**
   * Runs the steps in one transaction; all of them are committed, or none is, once for a request_id. Fails with a
   * HandlerError: GUARD_UNMET with the step's number, NOT_AUTHORITATIVE where this side doesn't decide (any more).
   */
  write<const Steps extends readonly DeclaredStep[]>(
    steps: Steps,
    options: WriteOptions,
  ): Promise<OutcomesOf<Steps>>;
  /**
   * Whether a write with a request_id was committed here: then `write` gives what came of it. While this side doesn't
   * decide, it says so for good.
   */
  hasCommitted(write: WriteOptions & { readonly requestId: string }): Promise<boolean>;
  /** Runs a SELECT where the newest is to be seen. */
  read<Row extends object>(step: DeclaredStep<Row>, options: ReadOptions): Promise<StepOutcome<Row>["rows"]>;
}
