import { createRandom } from "@tandem/testkit/random";
import { type Action, apply, type End, INITIAL_NUMBER, type Operation } from "./operation.ts";

/** A linearizable store as it is used by several processes at once. */
export interface SimulationOptions {
  /** Decides everything else. */
  readonly seed: number;
  readonly actions: readonly Action[];
  readonly processes: number;
  /** Whether some operations are denied, and some processes are told nothing. */
  readonly failures: boolean;
}

/**
 * A history of the key "k" as a linearizable store would have it: every operation is called, takes effect
 * at one moment and returns. One that is denied has no effect; one of unknown outcome has it at any later
 * time, or never. At the end somebody reads.
 */
export function simulate({ seed, actions, processes, failures }: SimulationOptions): Operation[] {
  const random = createRandom(seed);
  const choose = (count: number): number => Math.floor(random() * count);
  const history: Operation[] = [];
  const running = new Map<string, Running>();
  const limbo: Running[] = [];
  const store = { number: INITIAL_NUMBER };
  const left = [...actions];
  const record = (operation: Running, end: End): void => {
    running.delete(operation.process);
    history.push(toOperation(operation, end));
  };
  let now = 0;
  for (; left.length > 0 || running.size > 0; now++) {
    const [late] = limbo.splice(choose(limbo.length * 4 + 1), 1);
    if (late !== undefined) takeEffect(late, store);
    const process = `p${choose(processes)}`;
    const operation = running.get(process);
    const fate = failures ? choose(8) : 2;
    if (operation === undefined) {
      const action = left.shift();
      if (action !== undefined) running.set(process, { process, calledAt: now, action });
    } else if (operation.effect !== undefined) record(operation, { ...operation.effect, at: now });
    else if (fate === 0) record(operation, { kind: "denied" });
    else if (fate === 1) {
      record(operation, { kind: "unknown" });
      limbo.push(operation);
    } else operation.effect = takeEffect(operation, store);
  }
  const last = { process: "last", calledAt: now, action: { kind: "read" } } as const;
  return [...history, toOperation(last, { kind: "done", at: now + 1, found: store.number })];
}

interface Running {
  readonly process: string;
  readonly calledAt: number;
  readonly action: Action;
  /** What its process will be told. */
  effect?: { readonly kind: "done"; readonly found: number } | { readonly kind: "unmet" };
}

function takeEffect(operation: Running, store: { number: number }): NonNullable<Running["effect"]> {
  const after = apply(store.number, toOperation(operation, { kind: "unknown" }));
  if (after === undefined) return { kind: "unmet" };
  store.number = after;
  return { kind: "done", found: after };
}

function toOperation({ process, calledAt, action }: Running, end: End): Operation {
  return { process, key: "k", calledAt, action, end };
}
