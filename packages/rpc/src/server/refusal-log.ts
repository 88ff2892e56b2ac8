import type { Logger } from "../logger.ts";

/** Writes the line of a refusal, or counts it: strangers must not be able to fill the log. */
export type RefusalLog = (logger: Logger, details: object, message: string) => void;

/** Writes at most so many lines in a second. The next line after those that were left out says how many they were. */
export function createRefusalLog(maxPerSecond: number): RefusalLog {
  let second = -1;
  let written = 0;
  let leftOut = 0;
  return (logger, details, message) => {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) {
      second = now;
      written = 0;
    }
    if (written >= maxPerSecond) {
      leftOut += 1;
      return;
    }
    written += 1;
    logger.info({ ...details, ...(leftOut > 0 ? { leftOut } : {}) }, message);
    leftOut = 0;
  };
}
