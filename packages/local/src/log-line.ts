// pino's numbers, for services that log those rather than the names.
const levelNumbers: Readonly<Record<string, number>> = { warn: 40, error: 50, fatal: 60 };

/** A line of a service's log that a person should see. */
export interface Notable {
  readonly text: string;
  /** The service can't go on. */
  readonly fatal: boolean;
}

/** Reads a line of a service's log. undefined for what is no warning and no error, or no log line at all. */
export function parseNotable(line: string): Notable | undefined {
  const entry = parseObject(line);
  if (entry === undefined) return undefined;
  const level = typeof entry["level"] === "string" ? levelNumbers[entry["level"]] : entry["level"];
  if (typeof level !== "number" || level < 40) return undefined;
  const message = typeof entry["msg"] === "string" ? entry["msg"] : "";
  const cause = messageOf(entry["err"]);
  // pino joins the messages of a chain of causes, and a message often holds its cause's already.
  const said = cause === undefined || message.includes(cause) || (message !== "" && cause.includes(message));
  const text = said ? message : `${message} (${cause})`;
  return { text: text.split("\n")[0] ?? "", fatal: level >= 60 };
}

function messageOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("message" in error)) return undefined;
  return typeof error.message === "string" && error.message !== "" ? error.message : undefined;
}

function parseObject(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value))
      : undefined;
  } catch {
    // Not everything that a process writes is a log line.
    return undefined;
  }
}
