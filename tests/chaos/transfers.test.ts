import { createDbProxy } from "@tandem/dbproxy";
import { afterAll, beforeAll, expect, it } from "vitest";
import { chooseTransfer, openBank, readBooks } from "./bank.ts";
import { readChaosConfig } from "./config.ts";
import { startFaults } from "./faults.ts";
import { makeTransfer, type TransferRecord } from "./make-transfer.ts";
import { createRandom } from "@tandem/testkit/random";
import { createRig, type Rig } from "./rig.ts";
import { settle } from "./settle.ts";

const { seed, transfers, kills } = readChaosConfig();
const CLIENTS = 12;

let rig: Rig;
beforeAll(async () => {
  rig = await createRig();
  await openBank(rig);
});
afterAll(() => rig[Symbol.asyncDispose]());

it(
  `applies each of ${transfers} transfers once or not at all while links break and both processes are killed ` +
    `${kills} times (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
    const records: TransferRecord[] = [];
    let begun = 0;
    await using faults = startFaults({ rig, seed, kills, progress: () => begun / transfers });
    const client = async (_unused: unknown, index: number): Promise<void> => {
      const random = createRandom(seed + 100 + index);
      // Every other one leaves retries to its caller: it hears what the assistant said of a single send.
      const retryLimits = index % 2 === 0 ? { maxRetries: 0 } : {};
      const db = createDbProxy({ address: rig.address, retryLimits });
      while (begun < transfers || faults.killing()) {
        begun++;
        records.push(await makeTransfer(db, { transfer: chooseTransfer(random), random }));
      }
      db.close();
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    const broken = await faults.stop();
    const receipts = await settle(
      rig.address,
      records.flatMap(({ requestId }) => requestId ?? []),
    );
    await rig.stopAssistant();

    const { effects, sum, sumAtFirst, unbalanced } = await readBooks(rig);
    const endOf = ({ end, requestId }: TransferRecord): string =>
      requestId === undefined ? end : `settled as ${receipts.get(requestId)?.state}`;
    const told = Map.groupBy(records, endOf);
    const ended = (...ends: readonly string[]): TransferRecord[] =>
      ends.flatMap((end) => told.get(end) ?? []);
    const committed = ended("acknowledged", "settled as committed");
    const denied = ended("denied", "settled as refused");
    const countOf = ({ transfer }: TransferRecord): number => effects.get(transfer.id) ?? 0;
    expect(committed.length + denied.length, "transfers whose end is known").toBe(begun);
    expect(sum, "the sum of the balances").toBe(sumAtFirst);
    expect(unbalanced, "accounts that their effects don't explain").toEqual([]);
    expect(about(records.filter((each) => countOf(each) > 1)), "applied twice").toEqual([]);
    expect(about(committed.filter((each) => countOf(each) === 0)), "committed, they said, and lost").toEqual(
      [],
    );
    expect(about(denied.filter((each) => countOf(each) > 0)), "denied, they said, and there").toEqual([]);
    expect(effects.size, "effects that somebody wanted").toBe(committed.length);
    expect(about(committed.filter(({ transfer }) => transfer.hopeless)), "against their guards").toEqual([]);
    const latestMs = Math.max(...records.flatMap(({ calls }) => calls.map(({ lateMs }) => lateMs)));
    expect(latestMs, "past its deadline").toBeLessThan(1_000);
    expect(ended("acknowledged").length, "acknowledged under these faults").toBeGreaterThan(begun / 4);

    const again = records.reduce((count, { calls }) => count + calls.length - 1, 0);
    process.stderr.write(
      `chaos: ${begun} transfers: ${[...told].map(([end, all]) => `${all.length} ${end}`).join(", ")} ` +
        `(${again} calls made again), no call later than ${Math.round(latestMs)} ms after its deadline; ` +
        `${[...broken].map(([fault, count]) => `${fault} ${count}`).join(", ")}\n`,
    );
  },
  120_000 + transfers * 100 + kills * 20_000,
);

/** What whoever has to find out why wants to see: the calls, and what the assistants logged meanwhile. */
function about(records: readonly TransferRecord[]): readonly unknown[] {
  return records.map((record) => {
    const from = record.calls.at(0)?.from.toISOString() ?? "";
    const until = record.calls.at(-1)?.until.toISOString() ?? "";
    const log = rig.log().filter((line) => {
      const time = /"time":"([^"]*)"/.exec(line)?.[1] ?? "";
      return from <= time && time <= until;
    });
    return { ...record, transfer: record.transfer.id, log };
  });
}
