const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const parentPollMs = 250;

/** Watches for whatever means that nobody wants this process to go on. */
export interface StopRequests {
  /** Aborted at the first request, with a reason in words; later ones change nothing. */
  readonly signal: AbortSignal;
  /** Stops watching. */
  dispose(): void;
}

/** From now on, takes signals for requests to stop, and the death of the process that started this one. */
export function watchStopRequests(): StopRequests {
  const controller = new AbortController();
  const parent = process.ppid;
  const onSignal = (signal: NodeJS.Signals): void => controller.abort(signal);
  for (const signal of signals) process.on(signal, onSignal);
  // A parent that was killed can't pass anything on, but leaves us to another one.
  const timer = setInterval(() => {
    if (process.ppid !== parent) controller.abort("the end of the process that started this");
  }, parentPollMs);
  return {
    signal: controller.signal,
    dispose: () => {
      clearInterval(timer);
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
