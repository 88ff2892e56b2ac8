import type { Series } from "./measurements.ts";
import { perSecond } from "./measurements.ts";
import type { Options } from "./options.ts";
import type { Place } from "./place/open-place.ts";
import type { Measurable } from "./place/measurable.ts";
import type { Measured } from "./row.ts";
import { schedule, type Slot } from "./schedule.ts";

/** What all rounds came to. */
export interface Rounds {
  readonly series: readonly Series[];
  /** Rows that failed in the middle, with what they failed with; they are in no series. */
  readonly failures: readonly { readonly name: string; readonly why: string }[];
}

/**
 * Measures every row in every round, after one that warms up. A row that fails is not measured any
 * more; the others are.
 */
export async function runRounds(
  place: Pick<Place, "rows">,
  options: Pick<Options, "rounds" | "concurrency" | "intervalMs" | "warmUpMs">,
  watch: { readonly onProgress: (line: string) => void; readonly signal: AbortSignal },
): Promise<Rounds> {
  const { rounds, concurrency, intervalMs, warmUpMs } = options;
  const numbersOf = ({ named }: Measurable) => named.row.concurrency;
  const slots = schedule(place.rows, { rounds, warmUp: warmUpMs > 0, concurrency, numbersOf });
  const durationOf = ({ round }: Slot<Measurable>): number => (round === 0 ? warmUpMs : intervalMs);
  const measured = new Map<Measurable, Map<number, Measured[]>>();
  const failures = new Map<string, string>();
  for (const [index, slot] of slots.entries()) {
    watch.signal.throwIfAborted();
    const { name } = slot.row.named;
    if (failures.has(name)) continue;
    try {
      const result = await slot.row.measure({ inFlight: slot.inFlight, durationMs: durationOf(slot) });
      const left = slots.slice(index + 1);
      const leftMs = left.reduce((sum, each) => sum + durationOf(each), 0);
      watch.onProgress(lineOf(slot, result, { rounds, left: left.length, leftMs }));
      if (slot.round > 0) keep(measured, slot, result);
    } catch (error) {
      watch.signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      failures.set(name, why);
      watch.onProgress(`${name} FAILED: ${why}`);
    }
  }
  const series = place.rows.flatMap((row) =>
    failures.has(row.named.name) ? [] : toSeries(row, measured.get(row) ?? new Map<number, Measured[]>()),
  );
  return { series, failures: [...failures].map(([name, why]) => ({ name, why })) };
}

function toSeries(
  { named }: Measurable,
  byNumber: ReadonlyMap<number, readonly Measured[]>,
): readonly Series[] {
  return [...byNumber].map(([inFlight, rounds]) => ({ named, inFlight, rounds }));
}

function keep(
  measured: Map<Measurable, Map<number, Measured[]>>,
  { row, inFlight }: Slot<Measurable>,
  result: Measured,
): void {
  const byNumber = measured.get(row) ?? new Map<number, Measured[]>();
  byNumber.set(inFlight, [...(byNumber.get(inFlight) ?? []), result]);
  measured.set(row, byNumber);
}

function lineOf(
  { row, round, inFlight }: Slot<Measurable>,
  result: Measured,
  { rounds, left, leftMs }: { readonly rounds: number; readonly left: number; readonly leftMs: number },
): string {
  const which = round === 0 ? "warm-up" : `round ${round} of ${rounds}`;
  const rate = perSecond(result);
  const minutes = Math.ceil(leftMs / 60_000);
  return `${which}, ${inFlight} in flight: ${row.named.name} ${rate.toFixed(rate < 10 ? 1 : 0)}/s; ${left} left, about ${minutes} min`;
}
