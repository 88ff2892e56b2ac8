import type { Logger } from "../logger.ts";

/** A service that has started. */
export interface RunningService {
  /** Finishes what runs and lets everything go, within a bound of its own. */
  readonly stop: () => Promise<void>;
  /** Rejects where the service can't go on; whoever runs it then ends the process. */
  readonly failed?: Promise<never>;
}

export interface ServiceOptions {
  readonly logger: Logger;
  /** Starts the service. The signal is aborted when the process is told to stop before it has started. */
  readonly start: (signal: AbortSignal) => Promise<RunningService>;
  /** After this a stop that hangs is given up, and the process ends with 1. */
  readonly stopTimeoutMs: number;
  /**
   * Stops when standard input ends: whoever started the process holds the other end of that pipe, so its
   * death, of whatever kind, is noticed.
   */
  readonly stopWhenInputEnds?: boolean;
}

/**
 * A service's life as a process: start, run until told to stop (SIGTERM, SIGINT), stop, exit 0. What
 * can't start or go on is one line of the log and exit 1.
 */
export async function runService(options: ServiceOptions): Promise<void> {
  const { logger } = options;
  const stopping = new AbortController();
  const told = new Promise<string>((resolve) => {
    stopping.signal.addEventListener("abort", () => resolve(String(stopping.signal.reason)), { once: true });
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stopping.abort(signal));
  if (options.stopWhenInputEnds === true) {
    process.stdin.resume().once("close", () => stopping.abort("the end of standard input"));
  }
  process.on("uncaughtException", (error) => {
    logger.fatal({ err: error }, "a defect: the process can't be trusted any more and ends");
    process.exit(1);
  });
  try {
    const service = await startUnlessTold(options, stopping.signal);
    if (service !== undefined) {
      const why = await Promise.race([told, service.failed ?? never()]);
      logger.info(`stopping, told by ${why}`);
      await within(service.stop(), options.stopTimeoutMs);
    }
    logger.info("stopped");
    process.exit(0);
  } catch (error) {
    logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

async function startUnlessTold(
  options: ServiceOptions,
  signal: AbortSignal,
): Promise<RunningService | undefined> {
  try {
    return await options.start(signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

async function within(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The stop did not end within ${timeoutMs} ms.`)), timeoutMs);
  });
  await Promise.race([work, tooLate]).finally(() => clearTimeout(timer));
}

function never(): Promise<never> {
  return new Promise(() => {});
}
