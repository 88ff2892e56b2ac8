import { HandlerError, type Logger, settlesWithin, TransportError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { postgresLimits } from "../limits.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import type { MirrorItem, Outbox, OutboxEntry } from "./outbox.ts";
import { defaultRelayLimits, type RelayLimits } from "./relay-limits.ts";

/** Rows with their children that are brought to the other side as a whole. */
export interface MirroredAggregate {
  /** As its migration has it: "invite". */
  readonly name: string;
  /**
   * Brings these to the other side, which keeps what is newer there, and gives for each what came of it, in order: undefined
   * where the other side has it now, or what it failed with. Rejects where the other side can't be reached at all.
   */
  deliver(items: readonly MirrorItem[], signal: AbortSignal): Promise<readonly (Error | undefined)[]>;
  /** The aggregate that an item of this one refers to, where it is refused until the other side has that. */
  refersTo?(item: MirrorItem): { readonly aggregate: string; readonly id: string } | undefined;
}

export interface RelayOptions {
  readonly outbox: Outbox;
  /** In the order in which they are brought: what others refer to comes first. */
  readonly aggregates: readonly MirroredAggregate[];
  readonly logger: Logger;
  readonly limits?: Partial<RelayLimits>;
}

/** Brings what is in the outbox to the other side, until it is disposed of. Several at once only double work. */
export interface Relay extends AsyncDisposable {
  /** Something may have been committed. It is found without this as well, later. */
  wake(): void;
}

/**
 * Starts a relay. Where the other side can't be reached it waits, longer with each time, and takes nothing; what is refused
 * for good is parked, logged with its id, and tried again daily.
 */
export function startRelay(options: RelayOptions): Relay {
  const { logger } = options;
  const limits = { ...defaultRelayLimits, ...options.limits };
  const stopped = new AbortController();
  let awake = Promise.withResolvers<void>();
  const wake = (): void => awake.resolve();
  const running = (async (): Promise<void> => {
    let failures = 0;
    while (!stopped.signal.aborted) {
      awake = Promise.withResolvers<void>();
      try {
        const moved = await bringAll(options, limits, stopped.signal);
        if (failures > 0) logger.info({ failures }, "the mirror is reached again");
        failures = 0;
        if (!moved) await restFor(limits.pollIntervalMs, stopped.signal, awake.promise);
      } catch (error) {
        if (stopped.signal.aborted) return;
        failures += 1;
        const err = isCallError(error) ? error : translateDatabaseError(error);
        if (failures === 1) logger.warn({ err }, "the mirror can't be brought up to date: it is tried again");
        await restFor(backOff(failures, limits), stopped.signal);
      }
    }
  })();
  return {
    wake,
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await settlesWithin(running, postgresLimits.stopTimeoutMs);
    },
  };
}

/** Takes a batch of each aggregate that has one, and brings it. Says whether there was one. */
async function bringAll(options: RelayOptions, limits: RelayLimits, signal: AbortSignal): Promise<boolean> {
  for (const aggregate of options.aggregates) {
    const entries = await options.outbox.take(aggregate.name, {
      limit: limits.batchSize,
      leaseMs: limits.leaseMs,
    });
    if (entries.length === 0) continue;
    await bring(aggregate, entries, { ...options, limits, signal });
    return true;
  }
  return false;
}

interface Bringing extends RelayOptions {
  readonly limits: RelayLimits;
  readonly signal: AbortSignal;
}

async function bring(
  aggregate: MirroredAggregate,
  entries: readonly OutboxEntry[],
  { outbox, limits, signal, logger }: Bringing,
): Promise<void> {
  const { name } = aggregate;
  const items = await outbox.read(
    name,
    entries.map(({ id }) => id),
  );
  const failures = await aggregate.deliver(items, signal).catch(async (error: unknown) => {
    // Nobody need wait for the lease to be over.
    await outbox.postpone(name, entries, 0);
    throw error;
  });
  const byId = new Map(items.map((item, at) => [item.id, { item, failure: failures[at] }]));
  const brought = entries.filter(({ id }) => byId.get(id)?.failure === undefined);
  // What was sent may be newer than what was taken. Of what isn't there any more, nothing can be sent.
  await outbox.delivered(
    name,
    brought.map(({ id, version }) => ({ id, version: byId.get(id)?.item.version ?? version })),
  );
  let unreached: Error | undefined;
  for (const entry of entries) {
    const { item, failure } = byId.get(entry.id) ?? {};
    if (item === undefined || failure === undefined) continue;
    if (mayPass(failure)) unreached ??= failure;
    const waitsFor = aggregate.refersTo?.(item);
    const referred = waitsFor !== undefined && (await outbox.has(waitsFor.aggregate, waitsFor.id));
    if (mayPass(failure) || referred || isInTheWay(failure, entry)) {
      await outbox.postpone(
        name,
        [entry],
        Math.min(limits.maxRetryMs, limits.minRetryMs * 2 ** entry.attempts),
      );
      continue;
    }
    await outbox.park(name, entry, failure.message, limits.parkedRetryMs);
    logger.error(
      { aggregate: name, id: entry.id, version: entry.version, err: failure },
      "the mirror refuses this: it is parked",
    );
  }
  if (unreached !== undefined && brought.length === 0) throw unreached;
}

function isCallError(error: unknown): error is HandlerError | TransportError {
  return error instanceof HandlerError || error instanceof TransportError;
}

/** Whether the other side may take it later, as it is. */
function mayPass(failure: Error): boolean {
  return failure instanceof TransportError || (failure instanceof HandlerError && failure.retryable);
}

// Another row has there, still, what this one has now: that one's change is on its way, as it came before.
function isInTheWay(failure: Error, { attempts }: OutboxEntry): boolean {
  return (
    failure instanceof HandlerError &&
    failure.reason === "UNIQUE_VIOLATION" &&
    attempts < MAX_ATTEMPTS_IN_THE_WAY
  );
}

const MAX_ATTEMPTS_IN_THE_WAY = 10;

function backOff(failures: number, { minRetryMs, maxRetryMs }: RelayLimits): number {
  const most = Math.min(maxRetryMs, minRetryMs * 2 ** failures);
  return most * (0.5 + Math.random() / 2);
}

async function restFor(ms: number, signal: AbortSignal, awake?: Promise<void>): Promise<void> {
  const rested = new AbortController();
  const timer = delay(ms, undefined, { signal: AbortSignal.any([signal, rested.signal]), ref: false });
  await Promise.race([timer.catch(() => undefined), ...(awake === undefined ? [] : [awake])]);
  rested.abort();
}
