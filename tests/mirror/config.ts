import { Settings } from "@tandem/rpc";

/** How much is asked of the mirror; `npm run mirror` has the long form. */
export interface MirrorConfig {
  readonly seed: number;
  /** How many rounds of changes with processes killed in between there are, under each authority. */
  readonly rounds: number;
  /** How many changes a round has. */
  readonly changes: number;
  /** How many rows wait for the gateway at once. */
  readonly backlog: number;
  /** For how long invites are created, 200 a second, and looked for at the gateway. */
  readonly lagMs: number;
  /** For how long invites are created in each state of the gateway, and how often each state comes. */
  readonly phaseMs: number;
  readonly phases: number;
  /** How many interleavings the receiver is sent. */
  readonly interleavings: number;
  /** Whether times are held to what was promised: they are, where nothing else runs on the machine. */
  readonly timed: boolean;
}

/** The short form, which is part of `npm test`, where nothing is set. */
export function readMirrorConfig(environment = process.env): MirrorConfig {
  const settings = new Settings(environment);
  const count = (name: string, byDefault: number): number =>
    settings.integer(name, { byDefault, min: 1, max: 10_000_000 });
  return {
    seed: count("TANDEM_MIRROR_SEED", 1 + (Date.now() % 1_000_000)),
    rounds: count("TANDEM_MIRROR_ROUNDS", 1),
    changes: count("TANDEM_MIRROR_CHANGES", 100),
    backlog: count("TANDEM_MIRROR_BACKLOG", 2_000),
    lagMs: count("TANDEM_MIRROR_LAG_MS", 1_000),
    phaseMs: count("TANDEM_MIRROR_PHASE_MS", 400),
    phases: count("TANDEM_MIRROR_PHASES", 1),
    interleavings: count("TANDEM_MIRROR_INTERLEAVINGS", 30),
    timed: settings.optional("TANDEM_MIRROR_TIMED") !== undefined,
  };
}
