import { Settings } from "@tandem/rpc";

/** How long the redemptions at once go on. */
export interface InvitesConfig {
  /** How many rounds, of fifty redeemers each. */
  readonly rounds: number;
}

/** The short form, which is part of `npm test`, where nothing is set. */
export function readInvitesConfig(environment = process.env): InvitesConfig {
  const settings = new Settings(environment);
  return { rounds: settings.integer("TANDEM_CHAOS_REDEMPTIONS", { byDefault: 3, min: 1, max: 100_000 }) };
}
