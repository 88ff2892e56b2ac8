import { parseArgs } from "node:util";

/** What the person who started this asked for and can't have. Its message is for them. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

export interface Options {
  /** Names of rows and of sets; all rows where it isn't said. */
  readonly rows: readonly string[] | undefined;
  readonly rounds: number;
  /** How long each row is measured in each round, at each number in flight. */
  readonly intervalMs: number;
  /** The same of the round that isn't counted; 0 leaves it out. */
  readonly warmUpMs: number;
  readonly concurrency: readonly number[];
  /** Of each way's pool: as many transactions run at a time. */
  readonly connections: number;
  /** How many rows are compared, where databases are; a tenth of it is what a relay brings at once. */
  readonly mirrorRows: number;
  readonly synchronousCommit: "on" | "off";
  /** For how long one row at one number in flight is run instead of the rounds. */
  readonly soakMs: number | undefined;
  /** Where the results are written. */
  readonly resultsFolder: string | undefined;
  readonly only: "list" | "help" | undefined;
}

export const help = `npm run bench -- [OPTIONS]

  --rows LIST                rows or sets of rows, such as pair,policy/with (default: all)
  --rounds N                 (default: 5)
  --seconds S                how long each row runs in each round (default: 2)
  --warm-up S                the same for the round that isn't counted, in which code is compiled (default: 3)
  --concurrency LIST         calls in flight (default: 1,16,64,256)
  --connections N            of each way's pool (default: 10)
  --mirror-rows N            rows that mirror/verify compares, and ten times what the other rows of the set bring
                             (default: 100000)
  --synchronous-commit on|off
                             PostgreSQL's setting (default: on, which is PostgreSQL's)
  --soak TIME                runs one row for so long instead, such as 90s or 30m
                             (default row: pair/tandem; the first of --concurrency, 16 where it isn't given)
  --results FOLDER           (default: bench/results)
  --list                     says what rows there are
`;

/** @throws OptionError */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args);
  const soakMs = values.soak === undefined ? undefined : toMs(values.soak);
  const concurrency = values.concurrency ?? (soakMs === undefined ? "1,16,64,256" : "16");
  return {
    rows: values.rows?.split(",").filter((name) => name !== ""),
    rounds: toNumber("--rounds", values.rounds, { min: 1, max: 1_000 }),
    intervalMs: 1_000 * toNumber("--seconds", values.seconds, { min: 0.05, max: 600 }),
    warmUpMs: 1_000 * toNumber("--warm-up", values["warm-up"], { min: 0, max: 600 }),
    concurrency: concurrency
      .split(",")
      .map((each) => toNumber("--concurrency", each, { min: 1, max: 4_096 })),
    connections: toNumber("--connections", values.connections, { min: 1, max: 100 }),
    mirrorRows: toNumber("--mirror-rows", values["mirror-rows"], { min: 1, max: 10_000_000 }),
    synchronousCommit: toSwitch("--synchronous-commit", values["synchronous-commit"]),
    soakMs,
    resultsFolder: values.results,
    only: values.help ? "help" : values.list ? "list" : undefined,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rows: { type: "string" },
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "2" },
        "warm-up": { type: "string", default: "3" },
        concurrency: { type: "string" },
        connections: { type: "string", default: "10" },
        "mirror-rows": { type: "string", default: "100000" },
        "synchronous-commit": { type: "string", default: "on" },
        soak: { type: "string" },
        results: { type: "string" },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function toNumber(
  name: string,
  text: string,
  limits: { readonly min: number; readonly max: number },
): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const whole = limits.min < 1 || Number.isInteger(value);
  if (whole && value >= limits.min && value <= limits.max) return value;
  throw new OptionError(`${name} takes a number from ${limits.min} to ${limits.max}, not ${text}.`);
}

function toSwitch(name: string, text: string): "on" | "off" {
  if (text === "on" || text === "off") return text;
  throw new OptionError(`${name} is on or off, not ${text}.`);
}

function toMs(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,5})(s|m|h)$/.exec(text) ?? [];
  const ms = Number(digits) * ({ s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? 0);
  if (ms > 0) return ms;
  throw new OptionError(`--soak takes a time such as 90s, 30m or 2h, not ${text}.`);
}
