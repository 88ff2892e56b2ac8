import { expect, it } from "vitest";
import { inBatches } from "./in-batches.ts";

async function* from<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function batchesOf<T>(items: AsyncIterable<T>, max: number): Promise<(readonly T[])[]> {
  return Array.fromAsync(inBatches(items, max));
}

it("gives what is there together, up to the number", async () => {
  expect(await batchesOf(from([1, 2, 3, 4, 5]), 3)).toEqual([
    [1, 2, 3],
    [4, 5],
  ]);
  expect(await batchesOf(from([]), 3)).toEqual([]);
});

it("waits for nothing that isn't there yet", async () => {
  const later = Promise.withResolvers<void>();
  async function* slowly(): AsyncGenerator<number> {
    yield 1;
    await later.promise;
    yield 2;
  }
  const batches = inBatches(slowly(), 10);
  expect(await batches.next()).toEqual({ done: false, value: [1] });
  later.resolve();
  expect(await batches.next()).toEqual({ done: false, value: [2] });
  expect(await batches.next()).toMatchObject({ done: true });
});

it("fails as what it takes from does, after what came before that", async () => {
  async function* failing(): AsyncGenerator<number> {
    yield 1;
    throw new Error("broken");
  }
  const given: (readonly number[])[] = [];
  const taking = (async () => {
    for await (const batch of inBatches(failing(), 10)) given.push(batch);
  })();
  await expect(taking).rejects.toThrow("broken");
});
