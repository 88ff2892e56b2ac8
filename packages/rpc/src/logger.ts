import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";

export type { Logger } from "pino";

export interface LoggerOptions {
  /** Which service writes: every line carries it. */
  readonly service: string;
  readonly level?: string;
  /** Standard output where it isn't said. */
  readonly destination?: DestinationStream;
}

/** One JSON line an event, on standard output: what operators already collect. */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    level: options.level ?? "info",
    base: { service: options.service },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Written at once: the last line before a process dies is the one that is wanted.
  return pino(settings, options.destination ?? pino.destination({ dest: 1, sync: true }));
}
