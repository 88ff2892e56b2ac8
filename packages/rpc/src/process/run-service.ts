import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { createLogger, type Logger } from "../logger.ts";
import { settlesWithin } from "../settles-within.ts";
import { whenAborted } from "../when-aborted.ts";
import type { ProcessConfig } from "./process-config.ts";
import { SettingError } from "./settings.ts";

// What is left to do after the drain, closing connections, takes less than this or hangs.
const STOP_MARGIN_MS = 3_000;

export interface ServiceOptions<C extends ProcessConfig> {
  /** What the service is called in its log. */
  readonly name: string;
  readonly readConfig: () => C;
  /**
   * Starts the service and gives what stops it. The signal is aborted when the process is told to stop
   * before that; what was started until then must be let go before the promise is rejected.
   */
  readonly start: (start: ServiceStart<C>) => Promise<AsyncDisposable>;
}

export interface ServiceStart<C> {
  readonly config: C;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * A service's life as a process: start, run until told to stop (SIGTERM, SIGINT), stop, exit 0. What
 * can't start or go on is one line of the log and exit 1.
 */
export async function runService<C extends ProcessConfig>(options: ServiceOptions<C>): Promise<void> {
  // It writes lines of its own among those of the log; what they say is in our errors.
  setLogVerbosity(logVerbosity.NONE);
  const config = readConfig(options);
  const logger = createLogger({ service: options.name, level: config.logLevel });
  const stopping = listenForStop(config);
  process.on("uncaughtException", (error) => {
    logger.fatal({ err: error }, "a defect: the process can't be trusted any more and ends");
    process.exit(1);
  });
  try {
    const service = await startUnlessTold(options, { config, logger, signal: stopping });
    if (service !== undefined) {
      await whenAborted(stopping);
      logger.info(`stopping, told by ${String(stopping.reason)}`);
      const boundMs = config.drainTimeoutMs + STOP_MARGIN_MS;
      const inTime = await settlesWithin(service[Symbol.asyncDispose](), boundMs);
      if (!inTime) throw new Error(`The stop did not end within ${boundMs} ms.`);
    }
    logger.info("stopped");
    process.exit(0);
  } catch (error) {
    logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

function readConfig<C extends ProcessConfig>({ name, readConfig: read }: ServiceOptions<C>): C {
  try {
    return read();
  } catch (error) {
    // What to mend is in the message; where in our code it was found helps nobody.
    const details = error instanceof SettingError ? {} : { err: error };
    createLogger({ service: name }).fatal(details, error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

function listenForStop({ stopWhenInputEnds }: ProcessConfig): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stopping.abort(signal));
  if (stopWhenInputEnds) {
    process.stdin.resume().once("close", () => stopping.abort("the end of standard input"));
  }
  return stopping.signal;
}

async function startUnlessTold<C extends ProcessConfig>(
  options: ServiceOptions<C>,
  start: ServiceStart<C>,
): Promise<AsyncDisposable | undefined> {
  try {
    return await options.start(start);
  } catch (error) {
    if (start.signal.aborted) return undefined;
    throw error;
  }
}
