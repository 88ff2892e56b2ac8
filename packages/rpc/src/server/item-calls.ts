import { Roster } from "../roster.ts";
import { type Item, ItemCall, type ItemListener, type ItemSurroundings } from "./item-call.ts";

// The longest that Node waits for.
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The items of one stream that run. They end with it, and each by its own deadline. */
export class ItemCalls {
  readonly #surroundings: ItemSurroundings;
  readonly #running = new Roster<ItemCall>();
  readonly #idle: (() => void)[] = [];
  // One timer for all of them, for the earliest deadline.
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(surroundings: ItemSurroundings) {
    this.#surroundings = surroundings;
    const { signal } = surroundings.stream;
    signal.addEventListener("abort", () => this.#endAll(signal.reason), { once: true });
  }

  /** How many there are whose handlers aren't through. */
  get running(): number {
    return this.#running.size;
  }

  /** Makes a call of an item. `begin` runs it: nothing is told of it before. */
  create<T extends Item>(item: T, listener: ItemListener<T>): ItemCall<T> {
    return new ItemCall(item, listener, this.#surroundings);
  }

  begin(call: ItemCall): void {
    this.#running.add(call);
    this.#expireAt(call.deadlineMs);
    const { signal } = this.#surroundings.stream;
    if (signal.aborted) call.end(signal.reason);
    void this.#run(call);
  }

  /** Resolves when none runs. */
  async ended(): Promise<void> {
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #run(call: ItemCall): Promise<void> {
    try {
      await call.run();
    } catch (err) {
      this.#surroundings.stream.logger.error({ err }, "the answer of an item could not be taken");
    }
    this.#end(call);
  }

  #end(call: ItemCall): void {
    this.#running.delete(call);
    if (this.#running.size > 0) return;
    clearTimeout(this.#timer);
    this.#timerAt = Infinity;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #endAll(reason: unknown): void {
    for (const call of this.#running.all()) call.end(reason);
  }

  #expireAt(deadlineMs: number): void {
    if (deadlineMs >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadlineMs;
    const waitMs = Math.min(Math.max(0, deadlineMs - Date.now()), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#expire(), waitMs);
  }

  #expire(): void {
    this.#timerAt = Infinity;
    const now = Date.now();
    let next = Infinity;
    for (const call of this.#running.all()) {
      if (call.deadlineMs <= now) call.expire();
      else next = Math.min(next, call.deadlineMs);
    }
    this.#expireAt(next);
  }
}
