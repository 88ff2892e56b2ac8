import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readCutoverConfig } from "./config.ts";
import { authorityOf, createCutoverRig, type CutoverRig } from "./cutover-rig.ts";
import { startLoad } from "./load.ts";

const { moves, rate } = readCutoverConfig();

// The short form runs beside other tests, who have the processor as well.
const MAX_HELD_MS = rate >= 500 ? 1_000 : 5_000;

let rig: CutoverRig;
beforeAll(async () => {
  rig = await createCutoverRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

it(
  "the authority moves to and fro under load: nothing is lost, doubled or stuck, and nobody waits for long",
  { timeout: 20_000 + moves * 10_000 },
  async () => {
    await using load = startLoad(rig, rate);
    const began = performance.now();
    const held: string[] = [];
    for (let move = 0; move < moves; move += 1) {
      const enough = load.calls() + rate / 2;
      await waitFor(() => load.calls() > enough, { describe: "calls between moves", timeoutMs: 20_000 });
      const side = move % 2 === 0 ? "gateway" : "assistant";
      const { epoch } = await rig.cutover.getAuthority({});
      const before = Math.round(load.longestMs());
      const moved = await rig.cutover.setAuthority({ authority: authorityOf[side], expectedEpoch: epoch });
      expect(moved).toMatchObject({ authority: authorityOf[side], epoch: epoch + 1n });
      const heldMs = Math.round((moved.held?.nanos ?? 0) / 1e6) + Number(moved.held?.seconds ?? 0n) * 1_000;
      await waitFor(() => load.calls() > enough + rate / 4, {
        describe: "calls after it",
        timeoutMs: 20_000,
      });
      const longest = Math.round(load.longestMs());
      held.push(`${side}: held ${heldMs} ms, longest call ${longest} ms (${before} ms before)`);
      expect.soft(heldMs, held.at(-1)).toBeLessThan(MAX_HELD_MS);
    }
    const perSecond = Math.round((load.calls() / (performance.now() - began)) * 1_000);
    await load.stop();
    process.stderr.write(`${load.calls()} calls, ${perSecond} a second\n${held.join("\n")}\n`);
    await rig.expectEqual();
    await load.expectAllThere(rig);
  },
);
