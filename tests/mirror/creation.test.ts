import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readMirrorConfig } from "./config.ts";
import { createMirrorRig, insertContact, type MirrorRig, percentile } from "./mirror-rig.ts";

const { phaseMs, phases, timed } = readMirrorConfig();
const CLIENTS = 4;
// On a machine where other things run as well.
const LENIENT_MS = 1_000;

let rig: MirrorRig;
let contactId: string;
beforeAll(async () => {
  rig = await createMirrorRig();
  contactId = await insertContact(rig);
  await rig.mirrored();
});
afterAll(() => rig[Symbol.asyncDispose]());

interface State {
  begin(): Promise<void> | void;
  end(): Promise<void> | void;
}

const refuseMirror = (authority: string) => async (): Promise<void> => {
  await rig.sql("gateway", `UPDATE tandem.authority SET authority = '${authority}'`);
};

/** What becomes of the gateway, as the assistant sees it. */
const states: Readonly<Record<string, State>> = {
  healthy: { begin: () => undefined, end: () => undefined },
  stopped: {
    begin: () => {
      rig.link.refuse();
      rig.link.cut();
    },
    end: () => rig.link.accept(),
  },
  "healthy again": { begin: () => undefined, end: () => undefined },
  "hung, taking connections and answering nothing": {
    begin: () => rig.link.stall(),
    end: () => {
      rig.link.resume();
      rig.link.cut();
    },
  },
  "2 s slow": {
    begin: () => rig.link.delay(2_000, { direction: "toClient" }),
    end: () => {
      rig.link.delay(0);
      rig.link.cut();
    },
  },
  "refusing all that is brought": { begin: refuseMirror("gateway"), end: refuseMirror("assistant") },
};

it(
  "creating an invite does not notice whether the gateway is there, hangs, is slow or refuses",
  async () => {
    const times = new Map<string, number[]>();
    await create(phaseMs, []);
    for (let round = 0; round < phases; round += 1) {
      for (const [name, state] of Object.entries(states)) {
        await state.begin();
        const taken = times.get(name.split(" again")[0] ?? "") ?? [];
        times.set(name.split(" again")[0] ?? "", taken);
        await create(phaseMs, taken);
        await state.end();
        // What waits is not to be brought while the next state is looked at.
        await rig.mirrored({ timeoutMs: 60_000 });
      }
    }
    const healthy = percentile(times.get("healthy") ?? [], 0.99);
    const most = timed ? healthy + 2 : healthy * 3 + LENIENT_MS;
    const said = [...times].map(
      ([name, taken]) =>
        `${name}: ${taken.length} created, p50 ${percentile(taken, 0.5).toFixed(1)}, p99 ${percentile(taken, 0.99).toFixed(1)} ms`,
    );
    process.stderr.write(`mirror: creation while the gateway is\n  ${said.join("\n  ")}\n`);
    for (const [name, taken] of times) {
      expect(taken.length, `created while it is ${name}`).toBeGreaterThan(0);
      expect(percentile(taken, 0.99), `p99 while it is ${name}`).toBeLessThan(most);
    }
  },
  60_000 + phases * Object.keys(states).length * (phaseMs + 20_000),
);

/** Creates invites for so long; any error is this function's. */
async function create(forMs: number, taken: number[]): Promise<void> {
  const until = performance.now() + forMs;
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const began = performance.now();
      await rig.ingress.createIngressInvite({ invite: { contactId, sourceChannel: "telegram", maxUses: 1 } });
      taken.push(performance.now() - began);
      await delay(5);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}
