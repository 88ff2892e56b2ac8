import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type GetReceiptRequest,
  type GetReceiptResponseSchema,
  ReceiptState,
  type TransactionRequest,
  type TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type HandlerContext, HandlerError, type Reason, whenAborted } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { Ledger } from "./ledger.ts";
import { type RelayedOwner, startRelayedOwner } from "./relayed-owner.ts";

/** What can happen to one send of a transaction. */
export const fates = [
  "answered",
  "applied, the answer lost",
  "applied, the owner gone for a while",
  "lost before it is applied",
  "cut off, and applied before the next",
  "cut off, and applied long after",
  "applied, and the owner doesn't know",
  "rolled back, and the owner doesn't know",
  "rolled back and fenced",
  "refused for load",
  "refused at the door",
  "failed by a guard",
] as const;

/** What can happen to one question for a receipt. */
export const askings = [
  "answered",
  "answered, the answer lost",
  "refused for load",
  "failed by a bug",
] as const;

type Fate = (typeof fates)[number];
type Asking = (typeof askings)[number];

/** What happens, in order; after it everything is answered. */
export interface Script {
  readonly fates: readonly Fate[];
  readonly askings: readonly Asking[];
  /** Which of the requests that arrive makes the caller leave. */
  readonly leavesAt: number | undefined;
}

/** An owner that keeps receipts as the contract has them, and breaks as a script says. */
export interface ScriptedOwner extends RelayedOwner {
  /** Begins anew. The signal is that of a caller who leaves where the script says so. */
  play(script: Script): { readonly ledger: Ledger; readonly signal: AbortSignal };
  /** Skips what is left of the script. Resolves when the owner can be reached. */
  heal(): Promise<void>;
}

export async function startScriptedOwner({ streams }: { readonly streams: boolean }): Promise<ScriptedOwner> {
  let play = new Play({ fates: [], askings: [], leavesAt: undefined });
  let back = Promise.resolve();
  const owner = await startRelayedOwner({
    client: {
      streams,
      retryLimits: { minRetryDelayMs: 1, maxRetryDelayMs: 4, retryBurst: 1e6 },
      limits: { minReconnectMs: 1, maxReconnectMs: 5 },
    },
    handlers: {
      transaction: (request, context) => runTransaction(play, request, () => cut(context)),
      getReceipt: (request, context) => runReceipt(play, request, () => cut(context)),
    },
  });
  const cut = async ({ signal }: HandlerContext): Promise<never> => {
    if (play.goneForMs > 0) {
      owner.relay.refuse();
      back = delay(play.goneForMs).then(() => owner.relay.accept());
      play.goneForMs = 0;
    }
    owner.relay.cut();
    await whenAborted(signal);
    throw signal.reason;
  };
  return {
    ...owner,
    play: (script) => {
      play = new Play(script);
      return { ledger: play.ledger, signal: play.caller.signal };
    },
    heal: async () => {
      play.end();
      await back;
    },
  };
}

class Play {
  readonly ledger = new Ledger();
  readonly caller = new AbortController();
  goneForMs = 0;
  readonly #fates: Fate[];
  readonly #askings: Asking[];
  #leavesAt: number;

  constructor({ fates: sends, askings: questions, leavesAt = -1 }: Script) {
    this.#fates = [...sends];
    this.#askings = [...questions];
    this.#leavesAt = leavesAt;
  }

  nextFate(): Fate {
    this.#arrived();
    return this.#fates.shift() ?? "answered";
  }

  nextAsking(): Asking {
    this.#arrived();
    return this.#askings.shift() ?? "answered";
  }

  end(): void {
    this.#fates.length = this.#askings.length = 0;
  }

  #arrived(): void {
    this.ledger.arrive();
    if (this.#leavesAt === 0) this.caller.abort();
    this.#leavesAt -= 1;
  }
}

type Answer = MessageInitShape<typeof TransactionResponseSchema>;
type Receipt = MessageInitShape<typeof GetReceiptResponseSchema>;

async function runTransaction(
  play: Play,
  { requestId, attempt }: TransactionRequest,
  cut: () => Promise<never>,
): Promise<Answer> {
  const { ledger } = play;
  const fate = play.nextFate();
  switch (fate) {
    case "answered":
      return toAnswer(requestId, ledger.commit(requestId));
    case "applied, the answer lost":
      ledger.commit(requestId);
      return cut();
    case "applied, the owner gone for a while":
      ledger.commit(requestId);
      play.goneForMs = 20;
      return cut();
    case "lost before it is applied":
      return cut();
    case "cut off, and applied before the next":
    case "cut off, and applied long after":
      ledger.delay(requestId, { late: fate === "cut off, and applied long after" });
      return cut();
    case "applied, and the owner doesn't know":
      ledger.commit(requestId);
      throw failure("COMMIT_OUTCOME_UNKNOWN");
    case "rolled back, and the owner doesn't know":
      throw failure("COMMIT_OUTCOME_UNKNOWN");
    case "rolled back and fenced":
      return toAnswer(requestId, ledger.fence(requestId));
    case "refused for load":
      throw failure("OVERLOADED", { resent: attempt > 0 });
    case "refused at the door":
      // Whoever is there hasn't read the request, and can't know.
      throw failure("UNAUTHENTICATED", { resent: true });
    case "failed by a guard":
      if (attempt > 0 && ledger.fence(requestId) === "committed") return toAnswer(requestId, "committed");
      throw failure("GUARD_UNMET");
  }
}

async function runReceipt(
  play: Play,
  { requestId, fence }: GetReceiptRequest,
  cut: () => Promise<never>,
): Promise<Receipt> {
  const asking = play.nextAsking();
  if (asking === "refused for load") throw failure("OVERLOADED");
  if (asking === "failed by a bug") throw failure("HANDLER_FAILED");
  const state = fence ? play.ledger.fence(requestId) : play.ledger.look(requestId);
  if (asking === "answered, the answer lost") return cut();
  if (state === undefined) return { state: ReceiptState.NOT_FOUND };
  if (state === "refused") return { state: ReceiptState.REFUSED };
  return { state: ReceiptState.COMMITTED, response: toAnswer(requestId, state) };
}

function toAnswer(requestId: string, state: ReturnType<Ledger["commit"]>): Answer {
  if (state === "refused") throw failure("REQUEST_REFUSED");
  return { results: [{ changes: 1n }], writeToken: requestId, replayed: state === "committed" };
}

function failure(reason: Reason, { resent = false } = {}): HandlerError {
  return new HandlerError({
    reason,
    message: "As the script says.",
    retryAfterMs: 1,
    ...(resent ? { outcome: "UNKNOWN" } : {}),
  });
}
