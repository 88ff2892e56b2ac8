import { Settings } from "@tandem/rpc";

/** How much chaos, and which: the same seed makes the same choices. */
export interface ChaosConfig {
  readonly seed: number;
  /** How many backends are terminated. */
  readonly terminations: number;
  /** How many transfers between accounts there are. */
  readonly transfers: number;
  /** How many operations the history that is checked has. */
  readonly operations: number;
  /** How often each of the two processes is killed, during the transfers and during the history. */
  readonly kills: number;
  /** How many calls are cancelled around their end. */
  readonly cancellations: number;
  /** How long more calls come than can be carried. */
  readonly overloadMs: number;
  /** How often each of two instances is restarted. */
  readonly restarts: number;
  /** How often certificates are swapped, once a second. */
  readonly swaps: number;
}

/** The short form, which is part of `npm test`, where nothing is set. */
export function readChaosConfig(environment = process.env): ChaosConfig {
  const settings = new Settings(environment);
  return {
    seed: settings.integer("TANDEM_CHAOS_SEED", {
      byDefault: Date.now() % 1_000_000,
      min: 0,
      max: 1_000_000,
    }),
    terminations: settings.integer("TANDEM_CHAOS_TERMINATIONS", { byDefault: 100, min: 1, max: 100_000 }),
    transfers: settings.integer("TANDEM_CHAOS_TRANSFERS", { byDefault: 300, min: 1, max: 1_000_000 }),
    operations: settings.integer("TANDEM_CHAOS_OPERATIONS", { byDefault: 300, min: 1, max: 1_000_000 }),
    kills: settings.integer("TANDEM_CHAOS_KILLS", { byDefault: 1, min: 0, max: 1_000 }),
    cancellations: settings.integer("TANDEM_CHAOS_CANCELLATIONS", { byDefault: 500, min: 1, max: 1_000_000 }),
    overloadMs: settings.integer("TANDEM_CHAOS_OVERLOAD_MS", {
      byDefault: 3_000,
      min: 1_000,
      max: 3_600_000,
    }),
    restarts: settings.integer("TANDEM_CHAOS_RESTARTS", { byDefault: 1, min: 1, max: 10_000 }),
    swaps: settings.integer("TANDEM_CHAOS_SWAPS", { byDefault: 7, min: 1, max: 100_000 }),
  };
}
