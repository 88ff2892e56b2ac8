import { HandlerError } from "@tandem/rpc";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readCopyRounds } from "../testing/config.ts";
import { identified } from "../testing/identified.ts";
import { createProxyFixture, type ProxyFixture, type Replica, step, text } from "../testing/proxy-fixture.ts";

const COPIES = 8;
const ROUNDS = readCopyRounds();

// As many instances: within one, only one copy of a request would come to the database.
let first: ProxyFixture;
let instances: readonly Replica[];
beforeAll(async () => {
  first = await createProxyFixture({ poolSize: 2 });
  const others = await Promise.all(Array.from({ length: COPIES - 1 }, () => first.addReplica()));
  instances = [first, ...others];
  await first.define("CREATE TABLE effects (request uuid NOT NULL)");
});
afterAll(async () => {
  await expectNoOpenTransactions(first.databaseUrl);
  await Promise.all(instances.slice(1).map((instance) => instance[Symbol.asyncDispose]()));
  await first[Symbol.asyncDispose]();
});

/** What became of one copy. */
async function outcomeOf(instance: Replica, request: Parameters<Replica["client"]["transaction"]>[0]) {
  try {
    const { committedAt, results, replayed } = await instance.client.transaction(request);
    return {
      answer: JSON.stringify([committedAt?.seconds.toString(), committedAt?.nanos, results.length]),
      replayed,
    };
  } catch (error) {
    if (error instanceof HandlerError && error.reason === "REQUEST_IN_PROGRESS") return "in progress";
    throw error;
  }
}

it(
  `gives ${COPIES} copies at once one effect and one answer, ${ROUNDS} times`,
  async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { requestId, meta } = identified();
      // Nothing in the steps keeps two of them from committing: only the receipt does.
      const request = { requestId, meta, steps: [step("INSERT INTO effects VALUES ($1)", text(requestId))] };
      // Every copy is held where its receipt is next, until all of them are there.
      const arrivals = instances.map(({ relay }) => {
        const stall = (): void => relay.stall({ direction: "toServer" });
        return relay.when({ direction: "toServer", contains: "INSERT INTO tandem.receipts" }, stall).fired;
      });
      const copies = instances.map((instance) => outcomeOf(instance, { ...request, attempt: round % 2 }));
      await Promise.all(arrivals);
      for (const { relay } of instances) relay.resume();
      const outcomes = await Promise.all(copies);
      const answers = outcomes.filter((outcome) => outcome !== "in progress");
      expect(new Set(answers.map(({ answer }) => answer)).size).toBe(1);
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    }
    const [row] = await first.sql(
      "SELECT count(*)::int AS effects, count(DISTINCT request)::int AS requests FROM effects",
    );
    expect(row).toEqual({ effects: ROUNDS, requests: ROUNDS });
  },
  60_000 + ROUNDS * 100,
);
