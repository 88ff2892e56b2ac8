/** What some work comes to, or the signal's reason as soon as that is aborted; the work then goes on unwatched. */
export function unlessAborted<T>(work: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const settle =
      <V>(end: (value: V) => void) =>
      (value: V): void => {
        signal.removeEventListener("abort", abort);
        end(value);
      };
    work.then(settle(resolve), settle(reject));
    if (signal.aborted) abort();
  });
}
