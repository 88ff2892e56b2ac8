import { HandlerError } from "@tandem/rpc";
import type { Link } from "./link.ts";

export interface LinkPoolOptions {
  readonly size: number;
  /** How long whoever comes when all are lent waits for one. */
  readonly waitMs: number;
  /** One that was idle for so long is closed, and one that is so old is not lent again; looked at now and then. */
  readonly maxIdleMs: number;
  readonly maxAgeMs: number;
  readonly open: () => Promise<Link>;
  /** Told of one that was lost while nobody had it. */
  readonly onLost: (error: Error) => void;
}

interface Waiter {
  readonly resolve: (link: Link | Promise<Link>) => void;
  readonly reject: (error: Error) => void;
}

const SWEEPS_AN_IDLE_TIME = 4;

/** Links that are kept for the next borrower, the one that was used last first. Whoever comes first is served first. */
export class LinkPool {
  readonly #options: LinkPoolOptions;
  readonly #idle: Link[] = [];
  readonly #waiting = new Set<Waiter>();
  readonly #closing = new Set<Promise<void>>();
  readonly #empty = Promise.withResolvers<void>();
  /** Lent, idle, and on their way. */
  #count = 0;
  #closed = false;
  #sweeping: NodeJS.Timeout | undefined;

  constructor(options: LinkPoolOptions) {
    this.#options = options;
  }

  /** At once where one is idle. Fails as opening one does, with OVERLOADED where none came free in time, or because the pool is closed. */
  take(): Link | Promise<Link> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#closed) return Promise.reject(closed());
    return this.#count < this.#options.size ? this.#open() : this.#wait();
  }

  /** Takes one back: `clean` where the next borrower finds nothing of this one's on it. */
  giveBack(link: Link, { clean }: { readonly clean: boolean }): void {
    if (!clean || link.lost !== undefined || this.#closed || this.#isOld(link)) return this.#drop(link);
    const [next] = this.#waiting;
    if (next !== undefined) return next.resolve(link);
    link.idleSince = performance.now();
    this.#idle.push(link);
  }

  /** Resolves when all are given back and closed. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweeping);
    for (const link of this.#idle.splice(0)) this.#drop(link);
    for (const waiter of this.#waiting) waiter.reject(closed());
    if (this.#count === 0) this.#empty.resolve();
    await this.#empty.promise;
    await Promise.all(this.#closing);
  }

  async #open(): Promise<Link> {
    this.#count += 1;
    this.#sweeping ??= setInterval(this.#sweep, this.#options.maxIdleMs / SWEEPS_AN_IDLE_TIME).unref();
    try {
      const link = await this.#options.open();
      link.onLost = (error) => this.#onLost(link, error);
      return link;
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  #wait(): Promise<Link> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => waiter.reject(allLent()), this.#options.waitMs);
      const leaving =
        <V>(settle: (value: V) => void) =>
        (value: V): void => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          settle(value);
        };
      const waiter: Waiter = { resolve: leaving(resolve), reject: leaving(reject) };
      this.#waiting.add(waiter);
    });
  }

  #drop(link: Link): void {
    link.onLost = undefined;
    const closing = link.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    this.#leave();
  }

  #leave(): void {
    this.#count -= 1;
    const [next] = this.#waiting;
    if (next !== undefined) next.resolve(this.#open());
    else if (this.#closed && this.#count === 0) this.#empty.resolve();
  }

  #onLost(link: Link, error: Error): void {
    const at = this.#idle.indexOf(link);
    if (at < 0) return;
    this.#idle.splice(at, 1);
    this.#drop(link);
    this.#options.onLost(error);
  }

  readonly #sweep = (): void => {
    const until = performance.now() - this.#options.maxIdleMs;
    for (const link of this.#idle.splice(0)) {
      if (link.idleSince < until || this.#isOld(link)) this.#drop(link);
      else this.#idle.push(link);
    }
  };

  #isOld({ openedAt }: Link): boolean {
    return performance.now() - openedAt > this.#options.maxAgeMs;
  }
}

function allLent(): HandlerError {
  const message = "Every connection to the database is in use: try again soon.";
  return new HandlerError({ reason: "OVERLOADED", message });
}

function closed(): HandlerError {
  return new HandlerError({ reason: "DATABASE_UNAVAILABLE", message: "The database has been closed." });
}
