const MAX_MS = 2 ** 31 - 1;

/**
 * Does something when the time that was set last has passed. To set it anew, or to stop it, costs next to nothing: what
 * runs below is only set again where it would fire too late, and where it fires too early it goes on with the rest.
 */
export class MovingTimer {
  readonly #due: () => void;
  #at = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Infinity;

  constructor(due: () => void) {
    this.#due = due;
  }

  set(ms: number): void {
    const now = performance.now();
    this.#at = now + ms;
    if (this.#at < this.#firesAt) this.#start(now);
  }

  /** What was set doesn't count any more. */
  stop(): void {
    this.#at = Infinity;
  }

  /** The same, for good: nothing of it is left. */
  end(): void {
    this.stop();
    clearTimeout(this.#timer);
    this.#firesAt = Infinity;
  }

  #start(now: number): void {
    clearTimeout(this.#timer);
    const ms = Math.min(Math.ceil(this.#at - now), MAX_MS);
    this.#firesAt = now + ms;
    this.#timer = setTimeout(this.#fire, ms);
  }

  readonly #fire = (): void => {
    this.#firesAt = Infinity;
    const now = performance.now();
    if (this.#at === Infinity) return;
    if (now < this.#at) return this.#start(now);
    this.stop();
    this.#due();
  };
}
