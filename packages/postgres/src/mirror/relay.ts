import { HandlerError, type Logger, type Reason, settlesWithin, TransportError } from "@tandem/rpc";
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
    let atOnce = 1;
    while (!stopped.signal.aborted) {
      awake = Promise.withResolvers<void>();
      try {
        const { taken, filled } = await bringAtOnce(atOnce, options, limits, stopped.signal);
        if (failures > 0) logger.info({ failures }, "the mirror is reached again");
        failures = 0;
        atOnce = filled ? limits.batchesAtOnce : 1;
        if (taken === 0) await restFor(limits.pollIntervalMs, stopped.signal, awake.promise);
        else if (!filled) await restFor(limits.gatherMs, stopped.signal);
      } catch (error) {
        if (stopped.signal.aborted) return;
        failures += 1;
        atOnce = 1;
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

interface Taken {
  readonly taken: number;
  /** Whether there was as much of one as goes into a batch: there may well be more. */
  readonly filled: boolean;
}

/** Of a backlog, one batch is read, or struck off, here while another one is on its way. */
async function bringAtOnce(
  count: number,
  options: RelayOptions,
  limits: RelayLimits,
  signal: AbortSignal,
): Promise<Taken> {
  const bringing = Array.from({ length: count }, () => bringAll(options, limits, signal));
  // None is left behind that goes on by itself.
  await Promise.allSettled(bringing);
  const all = await Promise.all(bringing);
  return {
    taken: all.reduce((sum, { taken }) => sum + taken, 0),
    filled: all.some(({ filled }) => filled),
  };
}

/**
 * Takes a batch of each aggregate that has one, and brings it. What fills a batch goes on first, since others may refer to
 * it; a few that keep coming hold up nobody.
 */
async function bringAll(options: RelayOptions, limits: RelayLimits, signal: AbortSignal): Promise<Taken> {
  const { outbox, aggregates } = options;
  let [taken, brought] = [0, 0];
  let filled = false;
  let unreached: Error | undefined;
  for (const aggregate of aggregates) {
    const entries = await outbox.take(aggregate.name, { limit: limits.batchSize, leaseMs: limits.leaseMs });
    if (entries.length === 0) continue;
    taken += entries.length;
    const result = await bring(aggregate, entries, { ...options, limits, signal });
    brought += result.brought;
    unreached ??= result.unreached;
    const full = entries.length === limits.batchSize;
    filled ||= full;
    if (full && result.brought > 0) break;
  }
  // Nothing was taken there, and nothing can be said against any of it: the other side is not up to it.
  if (unreached !== undefined && brought === 0) throw unreached;
  return { taken, filled };
}

interface Bringing extends RelayOptions {
  readonly limits: RelayLimits;
  readonly signal: AbortSignal;
}

async function bring(
  aggregate: MirroredAggregate,
  entries: readonly OutboxEntry[],
  bringing: Bringing,
): Promise<{ readonly brought: number; readonly unreached: Error | undefined }> {
  const { outbox, signal } = bringing;
  const { name } = aggregate;
  const items = await outbox.read(
    name,
    entries.map(({ id }) => id),
  );
  const failures = await deliver(aggregate, items, signal).catch(async (error: unknown) => {
    // Nobody need wait for the lease to be over.
    await outbox.postpone(name, entries, 0);
    throw error;
  });
  const byId = new Map(items.map((item, at) => [item.id, { item, failure: failures[at] }]));
  // What was sent may be newer than what was taken.
  const brought = items.filter((_, at) => failures[at] === undefined);
  await outbox.delivered(name, brought);
  let unreached: Error | undefined;
  const refused: Refused[] = [];
  for (const entry of entries) {
    const { item, failure } = byId.get(entry.id) ?? { item: undefined, failure: nothingKnown() };
    if (failure === undefined) continue;
    if (!isOfTheItem(failure)) unreached ??= failure;
    const other = item === undefined ? undefined : aggregate.refersTo?.(item);
    const comes = other !== undefined && (await outbox.has(other.aggregate, other.id));
    if (isOfTheItem(failure) && !comes && !isInTheWay(failure, entry)) {
      const awaits = item === undefined || other === undefined ? undefined : { item, id: other.id };
      refused.push({ entry, failure, awaits });
    } else await putOff(name, entry, failure, bringing);
  }
  if (refused.length > 0) await park(aggregate, refused, bringing);
  return { brought: brought.length, unreached };
}

async function deliver(
  aggregate: MirroredAggregate,
  items: readonly MirrorItem[],
  signal: AbortSignal,
): Promise<readonly (Error | undefined)[]> {
  const failures = await aggregate.deliver(items, signal);
  // What isn't said to have failed is taken for delivered: so nothing may be left unsaid.
  if (failures.length === items.length) return failures;
  const { name } = aggregate;
  throw new TypeError(`${items.length} of ${name} were sent, and ${failures.length} results came of them.`);
}

async function putOff(
  aggregate: string,
  entry: OutboxEntry,
  failure: Error,
  { outbox, limits, logger }: Bringing,
): Promise<void> {
  const { id, version, attempts } = entry;
  const restMs = Math.min(limits.maxRetryMs, limits.minRetryMs * 2 ** Math.min(attempts, MAX_DOUBLINGS));
  await outbox.postpone(aggregate, [entry], restMs);
  if (attempts === QUIET_ATTEMPTS) {
    logger.warn(
      { aggregate, id, version, err: failure },
      "the mirror has not taken this yet: it is tried again",
    );
  }
}

interface Refused {
  readonly entry: OutboxEntry;
  readonly failure: Error;
  /** What it is, and the id of what it refers to. */
  readonly awaits: { readonly item: MirrorItem; readonly id: string } | undefined;
}

// No trigger of ours lets that happen.
function nothingKnown(): HandlerError {
  const message = "Neither the row nor its deletion is known here: compare the two sides (VerifyMirror).";
  return new HandlerError({ reason: "INVALID_REQUEST", message });
}

async function park(
  aggregate: MirroredAggregate,
  refused: readonly Refused[],
  bringing: Bringing,
): Promise<void> {
  const { outbox, limits, signal, logger } = bringing;
  const { name } = aggregate;
  for (const { entry, failure, awaits } of refused) {
    const parking = { refusal: failure.message, awaits: awaits?.id, forMs: limits.parkedRetryMs };
    await outbox.park(name, entry, parking);
  }
  // What one of them refers to may have come there after the refusal and before it was parked: nobody would release it.
  const awaiting = refused.flatMap(({ awaits }) => (awaits === undefined ? [] : [awaits.item]));
  const failures = await deliverAgain(aggregate, awaiting, signal);
  await outbox.delivered(
    name,
    awaiting.filter((_, at) => failures[at] === undefined),
  );
  for (const { entry, awaits, failure: first } of refused) {
    const failure = awaits === undefined ? first : failures[awaiting.indexOf(awaits.item)];
    if (failure === undefined) continue;
    if (!isOfTheItem(failure)) {
      await putOff(name, entry, failure, bringing);
      continue;
    }
    logger.error(
      { aggregate: name, id: entry.id, version: entry.version, err: failure },
      "the mirror refuses this: it is parked",
    );
  }
}

async function deliverAgain(
  aggregate: MirroredAggregate,
  items: readonly MirrorItem[],
  signal: AbortSignal,
): Promise<readonly (Error | undefined)[]> {
  if (items.length === 0) return [];
  return deliver(aggregate, items, signal).catch((error: unknown) => {
    if (!isCallError(error)) throw error;
    return items.map(() => error);
  });
}

function isCallError(error: unknown): error is HandlerError | TransportError {
  return error instanceof HandlerError || error instanceof TransportError;
}

// What another row, or the same one when it changes, may well be taken in spite of. Anything else says something of the
// other side, or of whether it lets us in: it has to be mended there, and nothing is to be done about the item.
const ofTheItem: ReadonlySet<string> = new Set<Reason>([
  "INVALID_REQUEST",
  "REQUEST_TOO_LARGE",
  "DATA_EXCEPTION",
  "NOT_NULL_VIOLATION",
  "UNIQUE_VIOLATION",
  "FOREIGN_KEY_VIOLATION",
  "CHECK_VIOLATION",
  "EXCLUSION_VIOLATION",
  "RAISED",
]);

/** Whether a row was refused for its own sake: another one may well be taken. */
export function isOfTheItem(failure: unknown): boolean {
  return failure instanceof HandlerError && ofTheItem.has(failure.reason);
}

// Another row has there, still, what this one has now: that one's change is on its way, as it came before.
function isInTheWay(failure: Error, { attempts }: OutboxEntry): boolean {
  return (
    failure instanceof HandlerError && failure.reason === "UNIQUE_VIOLATION" && attempts < QUIET_ATTEMPTS
  );
}

const QUIET_ATTEMPTS = 10;
const MAX_DOUBLINGS = 20;

function backOff(failures: number, { minRetryMs, maxRetryMs }: RelayLimits): number {
  const most = Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(failures, MAX_DOUBLINGS));
  return most * (0.5 + Math.random() / 2);
}

async function restFor(ms: number, signal: AbortSignal, awake?: Promise<void>): Promise<void> {
  const rested = new AbortController();
  const timer = delay(ms, undefined, { signal: AbortSignal.any([signal, rested.signal]), ref: false });
  await Promise.race([timer.catch(() => undefined), ...(awake === undefined ? [] : [awake])]);
  rested.abort();
}
