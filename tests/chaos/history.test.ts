import {
  createDbProxy,
  type DbProxy,
  requestIdOf,
  sql,
  type Statement,
  type UntypedRow,
} from "@tandem/dbproxy";
import { HandlerError } from "@tandem/rpc";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readChaosConfig } from "./config.ts";
import { startFaults } from "./faults.ts";
import { findViolation } from "./history/find-violation.ts";
import type { Action, End, Operation } from "./history/operation.ts";
import { createRandom } from "@tandem/testkit/random";
import { createRig, type Rig } from "./rig.ts";
import { type FinalReceipt, settle } from "./settle.ts";
import { pauseAfter, toldBy } from "./told.ts";

const { seed, operations, kills } = readChaosConfig();
const CLIENTS = 8;
const REGISTERS = ["r1", "r2", "r3"];
const COUNTERS = ["c1", "c2"];
const TIMEOUT_MS = 3_000;

let rig: Rig;
beforeAll(async () => {
  rig = await createRig();
  const rows = [...REGISTERS, ...COUNTERS].map((key) => `('${key}', 0)`);
  await rig.define(`
    CREATE TABLE numbers (key text PRIMARY KEY, number int8 NOT NULL);
    INSERT INTO numbers VALUES ${rows.join(", ")}`);
});
afterAll(() => rig[Symbol.asyncDispose]());

it(
  `keeps registers and counters linearizable over ${operations} operations while links break and both processes ` +
    `are killed ${kills} times (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
    const history: Operation[] = [];
    const open: OpenOperation[] = [];
    const values = { last: 0 };
    let begun = 0;
    await using faults = startFaults({ rig, seed, kills, progress: () => begun / operations });
    const client = async (_unused: unknown, index: number): Promise<void> => {
      const random = createRandom(seed + 200 + index);
      // Every other one leaves retries to its caller: it hears what the assistant said of a single send.
      const retryLimits = index % 2 === 0 ? { maxRetries: 0 } : {};
      const db = createDbProxy({ address: rig.address, timeoutMs: TIMEOUT_MS, retryLimits });
      while (begun < operations || faults.killing()) {
        begun++;
        const asked = { process: `p${index}`, calledAt: performance.now(), ...chooseAction(random, values) };
        const { end, requestId } = await run(db, { ...asked, inTransaction: random() < 0.5 });
        if (requestId === undefined) history.push({ ...asked, end });
        else open.push({ ...asked, requestId });
      }
      db.close();
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    const broken = await faults.stop();
    const receipts = await settle(
      rig.address,
      open.map(({ requestId }) => requestId),
    );
    for (const { requestId, ...asked } of open)
      history.push({ ...asked, end: toEnd(receipts.get(requestId)) });
    await rig.stopAssistant();
    history.push(...(await readAll()));

    expect(findViolation(history)).toBeUndefined();
    const ends = Object.entries(Object.groupBy(history, ({ end }) => end.kind));
    expect(history.filter(({ end }) => end.kind === "done").length, "operations done").toBeGreaterThan(
      begun / 4,
    );
    process.stderr.write(
      `chaos: a history of ${history.length} operations is linearizable: ` +
        `${ends.map(([end, all]) => `${all.length} ${end}`).join(", ")} (${open.length} settled later); ` +
        `${[...broken].map(([fault, count]) => `${fault} ${count}`).join(", ")}\n`,
    );
  },
  120_000 + operations * 100 + kills * 20_000,
);

type Asked = Pick<Operation, "process" | "key" | "calledAt" | "action">;
type OpenOperation = Asked & { readonly requestId: string };

/** Every written value is another one, so that a read tells which write it saw. */
function chooseAction(random: () => number, values: { last: number }): Pick<Operation, "key" | "action"> {
  const pick = (keys: readonly string[]): string => keys[Math.floor(random() * keys.length)] ?? "";
  const kind = random();
  if (random() < 0.4) {
    const action: Action = kind < 0.4 ? { kind: "read" } : { kind: "add", by: 1 };
    return { key: pick(COUNTERS), action };
  }
  const key = pick(REGISTERS);
  if (kind < 0.4) return { key, action: { kind: "read" } };
  const value = ++values.last;
  if (kind < 0.6) return { key, action: { kind: "write", value } };
  // One of the last few values: some of these guards are met.
  const expected = Math.max(0, value - 1 - Math.floor(random() * 4));
  return { key, action: { kind: "swap", expected, value } };
}

type NumberRow = { readonly number: bigint };

/** Runs it, and gives the request_id where nobody knows what became of it. */
async function run(
  db: DbProxy,
  { key, action, inTransaction }: Asked & { readonly inTransaction: boolean },
): Promise<{ end: End; requestId?: string }> {
  try {
    const rows = await send(db, toStatement(key, action), action.kind === "read" && !inTransaction);
    return { end: done(rows) };
  } catch (error) {
    const at = performance.now();
    const unmet = error instanceof HandlerError && error.reason === "GUARD_UNMET" && action.kind === "swap";
    if (unmet && toldBy(error) === "denied") return { end: { kind: "unmet", at } };
    const told = toldBy(error);
    await pauseAfter(error);
    if (told === "denied") return { end: { kind: "denied" } };
    // Nobody asks later what a read would have found.
    if (action.kind === "read") return { end: { kind: "unknown" } };
    const requestId = requestIdOf(error);
    if (requestId === undefined) throw new Error("An unknown outcome without an id.", { cause: error });
    return { end: { kind: "unknown" }, requestId };
  }
}

async function send(
  db: DbProxy,
  statement: Statement<NumberRow>,
  asQuery: boolean,
): Promise<readonly NumberRow[]> {
  if (asQuery) return (await db.query(statement, { primary: true })).rows;
  const { results } = await db.transaction([{ statement, guard: { min: 1, max: 1 } }]);
  return results[0].rows;
}

function toStatement(key: string, action: Action): Statement<NumberRow> {
  switch (action.kind) {
    case "read":
      return sql<NumberRow>`SELECT number FROM numbers WHERE key = ${key}`;
    case "write":
      return sql<NumberRow>`UPDATE numbers SET number = ${BigInt(action.value)} WHERE key = ${key} RETURNING number`;
    case "swap":
      return sql<NumberRow>`UPDATE numbers SET number = ${BigInt(action.value)}
        WHERE key = ${key} AND number = ${BigInt(action.expected)} RETURNING number`;
    case "add":
      return sql<NumberRow>`UPDATE numbers SET number = number + ${BigInt(action.by)} WHERE key = ${key} RETURNING number`;
  }
}

function done([row]: readonly UntypedRow[]): End {
  if (row === undefined) throw new Error("What took effect returned no row.");
  return { kind: "done", at: performance.now(), found: Number(row["number"]) };
}

/** The receipt has what the operation returned. */
function toEnd(receipt: FinalReceipt | undefined): End {
  return receipt?.state === "committed" ? done(receipt.result.results[0]?.rows ?? []) : { kind: "denied" };
}

async function readAll(): Promise<Operation[]> {
  const calledAt = performance.now();
  const rows = await rig.sql("SELECT key, number FROM numbers");
  const at = performance.now();
  return rows.map(({ key, number }) => ({
    process: "last",
    key: String(key),
    calledAt,
    action: { kind: "read" },
    end: { kind: "done", at, found: Number(number) },
  }));
}
