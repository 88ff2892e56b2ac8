import { setTimeout as delay } from "node:timers/promises";
import { runSql, waitFor } from "@tandem/testkit";
import { expect } from "vitest";

/** What the caller of a write was told. */
export type End = "committed" | "denied" | "unknown";

/** Terminates so many backends, of those for which a condition on pg_stat_activity holds, at random moments. */
export async function terminateBackends(options: {
  readonly url: string;
  readonly whose: string;
  readonly count: number;
  readonly random: () => number;
}): Promise<void> {
  const { url, whose, count, random } = options;
  const query = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND ${whose}`;
  const find = async (): Promise<number | undefined> => {
    const backends = await runSql(url, query);
    const chosen = backends[Math.floor(random() * backends.length)];
    return chosen && Number(chosen["pid"]);
  };
  for (let terminated = 0; terminated < count; terminated++) {
    await delay(random() * 20);
    const pid = await waitFor(find, { describe: "a backend to terminate" });
    await runSql(url, `SELECT pg_terminate_backend(${pid})`);
  }
}

/**
 * Expects that nothing is half there, nothing that was acknowledged is missing and nothing that was denied is
 * there. Gives what the callers were told, in words.
 *
 * @param options queries that give the ids of what is there completely, and of what is there in any part
 */
export async function expectTruth(options: {
  readonly url: string;
  readonly ends: ReadonlyMap<string, End>;
  readonly whole: string;
  readonly any: string;
}): Promise<string> {
  const { url, ends } = options;
  const whole = await idsIn(url, options.whole);
  const any = await idsIn(url, options.any);
  const of = (wanted: End): string[] => [...ends].filter(([, end]) => end === wanted).map(([id]) => id);
  expect(
    [...any].filter((id) => !whole.has(id)),
    "half of a transaction",
  ).toEqual([]);
  expect(
    of("committed").filter((id) => !whole.has(id)),
    "acknowledged and lost",
  ).toEqual([]);
  expect(
    of("denied").filter((id) => any.has(id)),
    "denied and there",
  ).toEqual([]);
  const there = of("unknown").filter((id) => any.has(id)).length;
  const counts = (["committed", "denied", "unknown"] as const).map((end) => `${of(end).length} ${end}`);
  return `${ends.size} calls: ${counts.join(", ")} (${there} of them there)`;
}

async function idsIn(url: string, query: string): Promise<ReadonlySet<string>> {
  const rows = await runSql(url, query);
  return new Set(rows.map((row) => String(Object.values(row)[0])));
}
