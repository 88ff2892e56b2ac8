import type { Summary } from "../measurements.ts";
import { toFigure, toTable } from "./table.ts";

/**
 * What one step more costs, by way, of the sets steps-N: the difference of the median latencies, with one call in
 * flight, of the sets with the most and the fewest steps. Empty where there are no two of them.
 */
export function stepsTable(summaries: readonly Summary[]): string {
  const found = summaries.flatMap(({ name, set, inFlight, p50Ms }) => {
    const steps = Number(/^steps-(\d+)$/.exec(set)?.[1]);
    return inFlight === 1 && steps > 0 ? [{ way: name.slice(set.length + 1), steps, p50Ms }] : [];
  });
  const counts = [...new Set(found.map(({ steps }) => steps))].toSorted((a, b) => a - b);
  if (counts.length < 2) return "";
  const lines = [...Map.groupBy(found, ({ way }) => way)].map(([way, all]) => {
    const p50 = (steps: number | undefined): number =>
      all.find((each) => each.steps === steps)?.p50Ms ?? Number.NaN;
    const [fewest = 0, most = 0] = [counts[0], counts.at(-1)];
    const more = ((p50(most) - p50(fewest)) * 1_000) / (most - fewest);
    return [way, ...counts.map((steps) => toFigure(p50(steps))), toFigure(more)];
  });
  return toTable(["way", ...counts.map((steps) => `p50 ms of ${steps}`), "µs for each step more"], lines);
}
