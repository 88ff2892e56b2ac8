import { Settings } from "@tandem/rpc";

/** How many mutated statements are sent, and which; `npm run chaos` sends more. */
export function readMutations(environment = process.env): { readonly count: number; readonly seed: number } {
  const settings = new Settings(environment);
  const byDefault = Date.now() % 1_000_000;
  return {
    count: settings.integer("TANDEM_CHAOS_MUTATIONS", { byDefault: 2_000, min: 100, max: 10_000_000 }),
    seed: settings.integer("TANDEM_CHAOS_SEED", { byDefault, min: 0, max: 1_000_000 }),
  };
}

/** How often eight copies of a request are sent at once; `npm run chaos` sets more. */
export function readCopyRounds(environment = process.env): number {
  return new Settings(environment).integer("TANDEM_CHAOS_COPIES", { byDefault: 100, min: 1, max: 100_000 });
}
