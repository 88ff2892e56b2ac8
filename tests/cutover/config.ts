import { Settings } from "@tandem/rpc";

/** How much the cutover is put under. */
export interface CutoverConfig {
  /** How often the authority moves under load. */
  readonly moves: number;
  /** Calls a second meanwhile. */
  readonly rate: number;
  /** How many contacts, and as many invites, are compared. */
  readonly rows: number;
}

/** The short form, which is part of `npm test`, where nothing is set. */
export function readCutoverConfig(environment = process.env): CutoverConfig {
  const settings = new Settings(environment);
  return {
    moves: settings.integer("TANDEM_CUTOVER_MOVES", { byDefault: 2, min: 1, max: 1_000 }),
    rate: settings.integer("TANDEM_CUTOVER_RATE", { byDefault: 60, min: 4, max: 10_000 }),
    rows: settings.integer("TANDEM_CUTOVER_ROWS", { byDefault: 1_000, min: 1_000, max: 10_000_000 }),
  };
}
