import { type ProcessIdentity, readProcessIdentity } from "./identity-settings.ts";
import type { Settings } from "./settings.ts";

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** What every service's process is told, whatever it does. */
export interface ProcessConfig {
  /** Where its gRPC server listens: `host:port`. */
  readonly listen: string;
  readonly identity: ProcessIdentity;
  readonly logLevel: string;
  /** Lets anyone who can connect list the services and their messages. */
  readonly reflection: boolean;
  /** How long running calls may go on when the process is told to stop. */
  readonly drainTimeoutMs: number;
  /** Stops when standard input ends: the process that started this one is gone. */
  readonly stopWhenInputEnds: boolean;
}

/** Reads it from the settings. Fails with a SettingError. */
export function readProcessConfig(settings: Settings, defaults: { readonly listen: string }): ProcessConfig {
  return {
    listen: settings.address("TANDEM_LISTEN", defaults.listen),
    identity: readProcessIdentity(settings),
    logLevel: settings.choice("TANDEM_LOG_LEVEL", LOG_LEVELS, "info"),
    reflection: settings.flag("TANDEM_REFLECTION"),
    drainTimeoutMs: settings.integer("TANDEM_DRAIN_TIMEOUT_MS", { byDefault: 8_000, min: 0, max: 600_000 }),
    stopWhenInputEnds: settings.flag("TANDEM_STOP_WHEN_INPUT_ENDS"),
  };
}
