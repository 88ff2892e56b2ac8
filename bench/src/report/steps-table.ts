import type { Summary } from "../measurements.ts";
import { toFigure, toTable } from "./table.ts";

/**
 * What a step costs, by way, of the sets steps-N with one call in flight: its part of the median latency, and what one
 * more costs, the difference between the sets with the most and the fewest steps. Empty where there are no two of them.
 */
export function stepsTable(summaries: readonly Summary[]): string {
  const found = summaries.flatMap(({ name, set, inFlight, p50Ms }) => {
    const steps = Number(/^steps-(\d+)$/.exec(set)?.[1]);
    return inFlight === 1 && steps > 0 ? [{ way: name.slice(set.length + 1), steps, p50Ms }] : [];
  });
  const counts = [...new Set(found.map(({ steps }) => steps))].toSorted((a, b) => a - b);
  if (counts.length < 2) return "";
  const several = counts.filter((steps) => steps > 1);
  const lines = [...Map.groupBy(found, ({ way }) => way)].map(([way, all]) => {
    const p50 = (steps: number | undefined): number =>
      all.find((each) => each.steps === steps)?.p50Ms ?? Number.NaN;
    const [fewest = 0, most = 0] = [counts[0], counts.at(-1)];
    const more = ((p50(most) - p50(fewest)) * 1_000) / (most - fewest);
    return [
      way,
      ...counts.map((steps) => toFigure(p50(steps))),
      ...several.map((steps) => toFigure((p50(steps) * 1_000) / steps)),
      toFigure(more),
    ];
  });
  const head = [
    "way",
    ...counts.map((steps) => `p50 ms of ${steps}`),
    ...several.map((steps) => `µs a step of ${steps}`),
    "µs for each step more",
  ];
  return toTable(head, lines);
}
