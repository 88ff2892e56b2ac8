import type { StreamLimits } from "./limits.ts";

/**
 * When to look for an instance that no stream leads to. A new stream goes to the connection whose turn it is, so whether
 * there is one turns out only by opening it.
 */
export class StreamSearch {
  readonly #limits: Pick<StreamLimits, "minSearchMs" | "maxSearchMs">;
  #waitMs = 0;
  #nextAt = 0;

  constructor(limits: Pick<StreamLimits, "minSearchMs" | "maxSearchMs">) {
    this.#limits = limits;
  }

  isDue(now: number): boolean {
    return now >= this.#nextAt;
  }

  /** One was found, and there may be more; or one was lost. */
  beginAnew(): void {
    this.#waitMs = 0;
    this.#nextAt = 0;
  }

  /** None was found this time. */
  waitLonger(now: number): void {
    const { minSearchMs, maxSearchMs } = this.#limits;
    this.#waitMs = Math.min(Math.max(minSearchMs, 2 * this.#waitMs), maxSearchMs);
    this.#nextAt = now + this.#waitMs;
  }
}
