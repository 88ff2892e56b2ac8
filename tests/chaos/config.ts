import { Settings } from "@tandem/rpc";

/** How much chaos, and which: the same seed makes the same choices. */
export interface ChaosConfig {
  readonly seed: number;
  /** How many backends are terminated. */
  readonly terminations: number;
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
  };
}
