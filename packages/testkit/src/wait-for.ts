import { setTimeout as delay } from "node:timers/promises";

/** How long to wait for what. */
export interface WaitOptions {
  /** Completes the sentence "Waited 5 s for …". */
  readonly describe: string;
  readonly timeoutMs?: number;
  readonly pollMs?: number;
}

/**
 * Polls until a condition gives something truthy, and gives that. A condition that throws is not met
 * yet.
 *
 * @throws Error with a sentence when the time is up; its cause is what the condition threw last
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions,
): Promise<NonNullable<Exclude<T, false | 0 | "">>> {
  const timeoutMs = options.timeoutMs ?? 5_000;
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      // The type says no more than the test does: neither null nor undefined, false, 0 or "".
      if (value) return value as NonNullable<Exclude<T, false | 0 | "">>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) break;
    await delay(options.pollMs ?? 10);
  }
  const reason = cause instanceof Error ? ` The last attempt failed: ${cause.message}` : "";
  throw new Error(`Waited ${timeoutMs / 1000} s for ${options.describe}.${reason}`, { cause });
}
