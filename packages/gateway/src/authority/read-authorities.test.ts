import type { Authority } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { expect, it } from "vitest";
import { readAuthorities } from "./read-authorities.ts";

const row = (given: Partial<Authority>): Authority => ({
  side: "gateway",
  authority: "assistant",
  phase: "settled",
  epoch: 3n,
  since: "2026-01-01 00:00:00+00",
  move: null,
  ...given,
});
const sideWith = (given: Partial<Authority>) => ({ authority: () => Promise.resolve(row(given)) });

const moved = { authority: "gateway", epoch: 4n } as const;
const draining = { phase: "draining" } as const;

it.each([
  ["both agree", {}, {}, {}],
  ["this side knows that a move has begun", draining, {}, draining],
  ["the other side knows that a move has begun", {}, draining, draining],
  ["this side knows that it has ended", moved, draining, { ...moved, ...draining }],
  ["the other side knows that it has ended", draining, moved, { ...moved, ...draining }],
  ["the other side was restored as it was before", moved, {}, { ...moved, ...draining }],
])("says who decides where %s", async (_, ours, theirs, expected) => {
  expect(await readAuthorities(sideWith(ours), sideWith(theirs))).toMatchObject(row(expected));
});

it("says what is known here where the other side can't be reached, or doesn't answer", async () => {
  const message = "The assistant can't be reached.";
  const unreachable = new HandlerError({ reason: "DATABASE_UNAVAILABLE", message });
  const gone = { authority: () => Promise.reject(unreachable) };
  const silent = { authority: () => new Promise<never>(() => undefined) };
  expect(await readAuthorities(sideWith(moved), gone)).toEqual(row(moved));
  expect(await readAuthorities(sideWith(moved), silent)).toEqual(row(moved));
});
