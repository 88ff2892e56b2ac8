import { Settings } from "@tandem/rpc";

/** How often eight copies of a request are sent at once; `npm run chaos` sets more. */
export function readCopyRounds(environment = process.env): number {
  return new Settings(environment).integer("TANDEM_CHAOS_COPIES", { byDefault: 100, min: 1, max: 100_000 });
}
