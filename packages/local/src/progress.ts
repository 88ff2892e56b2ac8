/** What a person sees of a start. */
export interface Progress {
  /** How long it has taken until now: "2.1 s". */
  elapsed(): string;
  /** Something was begun or done: a line with the time that has passed. */
  say(text: string): void;
  /** A line as it is. */
  print(line: string): void;
}

/** Counts from now. */
export function createProgress(write: (text: string) => void): Progress {
  const started = performance.now();
  const elapsed = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  return {
    elapsed,
    say: (text) => write(`tandem ${elapsed().padStart(7)}  ${text}\n`),
    print: (line) => write(`${line}\n`),
  };
}
