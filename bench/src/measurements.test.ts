import { expect, it } from "vitest";
import { pricesOf, type Series, summarise } from "./measurements.ts";
import type { Measured } from "./row.ts";

function measured(perSecond: number, more: Partial<Measured> = {}): Measured {
  return {
    completed: perSecond,
    elapsedMs: 1_000,
    p50Ms: 1_000 / perSecond,
    p99Ms: 2_000 / perSecond,
    cpuMs: {},
    ...more,
  };
}

function series(name: string, rounds: readonly Measured[], comparedWith?: string): Series {
  const set = name.slice(0, name.indexOf("/"));
  const row = {
    kind: "program" as const,
    measures: name,
    interval: () => Promise.reject(new Error("not run")),
  };
  return {
    named: { name, set, row: comparedWith === undefined ? row : { ...row, comparedWith } },
    inFlight: 16,
    rounds,
  };
}

it("holds a row against the direct driver and pgbench of the same round", () => {
  // The machine got slower from round to round: a ratio of medians would hide that the row is half as fast.
  const all = [
    series(
      "pair/postgres",
      [1_000, 100, 10].map((rate) => measured(rate)),
    ),
    series(
      "pair/pgbench",
      [4_000, 400, 40].map((rate) => measured(rate)),
    ),
    series(
      "pair/tandem",
      [500, 50, 6].map((rate) => measured(rate, { p99Ms: 6_000 / rate })),
    ),
    series("tpcb/tandem", [measured(1)]),
  ];
  const [postgres, , tandem, other] = all.map((each) => summarise(each, all));
  expect(tandem).toMatchObject({ perSecond: 50, toPostgres: 0.5, toPgbench: 0.125, p99ToPostgres: 6 });
  expect(postgres).toMatchObject({ toPostgres: undefined, toPgbench: 0.25, p99ToPostgres: undefined });
  expect(other).toMatchObject({ toPostgres: undefined, toPgbench: undefined });
});

it("says what processor time a transaction took, and leaves out what couldn't be measured", () => {
  const cpuMs = { client: 100, service: 200 };
  const [summary] = [series("pair/tandem", [measured(1_000, { cpuMs }), measured(1_000, { cpuMs })])].map(
    (each) => summarise(each, [each]),
  );
  expect(summary).toMatchObject({ clientCpuUs: 100, serviceCpuUs: 200, databaseCpuUs: undefined });
});

it("gives a feature's price with its spread over the rounds", () => {
  const used = (perSecond: number, serviceMs: number): Measured =>
    measured(perSecond, { cpuMs: { client: perSecond, service: perSecond * serviceMs } });
  const all = [
    series(
      "policy/without",
      [100, 200, 100, 100, 100].map((rate) => used(rate, 3)),
    ),
    series(
      "policy/with",
      [95, 196, 90, 97, 96].map((rate) => used(rate, 4)),
      "policy/without",
    ),
  ];
  const [price, ...others] = pricesOf(all);
  expect(others).toEqual([]);
  expect(price).toMatchObject({ name: "policy/with", comparedWith: "policy/without", rounds: 5 });
  expect(price?.throughput).toEqual({ median: 0.96, lower: 0.95, upper: 0.97 });
  expect(price?.p99.median).toBeCloseTo(1 / 0.96);
  expect(price?.cpu).toEqual({ median: 1.25, lower: 1.25, upper: 1.25 });
});
