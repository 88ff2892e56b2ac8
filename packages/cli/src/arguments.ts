import { InvalidArgumentError } from "commander";

/** Takes a whole number in these limits for an option's value. */
export function wholeNumber(limits: {
  readonly min: number;
  readonly max: number;
}): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (value >= limits.min && value <= limits.max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${limits.min} to ${limits.max}.`);
  };
}

/** Takes a value that passes a check. Where that fails, its message is what the person is told. */
export function checked(check: (text: string) => unknown): (text: string) => string {
  return (text) => {
    try {
      check(text);
      return text;
    } catch (error) {
      throw new InvalidArgumentError(toSentence(error instanceof Error ? error.message : String(error)));
    }
  };
}

/** The same for an argument or option that can be given several times: each value is added to those before. */
export function eachChecked(
  check: (text: string) => unknown,
): (text: string, before?: readonly string[]) => readonly string[] {
  return (text, before = []) => [...before, checked(check)(text)];
}

/** Takes a time like 2027-01-01T00:00:00Z that is still to come. */
export function futureTime(text: string): Date {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/.test(text) ? new Date(text) : undefined;
  // JavaScript takes the 31st of February for the 3rd of March.
  if (
    time === undefined ||
    Number.isNaN(time.getTime()) ||
    !time.toISOString().startsWith(text.slice(0, 19))
  ) {
    throw new InvalidArgumentError("It must be a time like 2027-01-01T00:00:00Z.");
  }
  if (time.getTime() <= Date.now()) throw new InvalidArgumentError("It must be still to come.");
  return time;
}

function toSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}
