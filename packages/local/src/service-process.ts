import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, renameSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { guardGroup } from "@tandem/embedded";
import { environmentFor, shortPath } from "./config.ts";
import { LocalError } from "./local-error.ts";
import { parseNotable } from "./log-line.ts";

// More than a service takes to drain after our death, and less than anybody waits for.
const graceAfterOurDeathMs = 2_000;

/** A service to run as a process. */
export interface ServiceOptions {
  readonly name: string;
  /** The program, a file for Node. */
  readonly main: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Told what the service warns of or fails with, each in a line. */
  readonly onNotable: (line: string) => void;
}

/** A service's process. */
export interface ServiceProcess {
  readonly name: string;
  /** Resolves when it has ended, with a sentence that says how. */
  readonly exited: Promise<string>;
  /** Tells it to stop, and kills it when it hasn't within the bound. Resolves when it has ended. */
  stop(options: { readonly timeoutMs: number }): Promise<void>;
}

/**
 * Starts a service in a session of its own, so that a Ctrl-C in a terminal doesn't reach it before its
 * turn. It notices our death by the end of its standard input; where it doesn't, it is killed.
 *
 * @throws LocalError where the program can't be started
 */
export async function startService(options: ServiceOptions): Promise<ServiceProcess> {
  const { name, main, logFile } = options;
  keepPrevious(logFile);
  const log = openSync(logFile, "w", 0o600);
  const child = spawn(process.execPath, [main], {
    stdio: ["pipe", "pipe", "pipe"],
    env: environmentFor(options.environment),
    detached: true,
  });
  let lastWords: string | undefined;
  let logFails = false;
  const writeLine = (line: string): void => {
    if (logFails) return;
    try {
      writeSync(log, `${line}\n`);
    } catch (error) {
      // A full disk: the service goes on, and whoever watches is told once.
      logFails = true;
      options.onNotable(`${name}: its log can't be written (${String(error)})`);
    }
  };
  const keep = (line: string): void => {
    writeLine(line);
    const notable = parseNotable(line);
    // What comes before there is a log: Node's own words on a program that it can't run.
    if (!line.startsWith("{") && line.trim() !== "") lastWords = line.trim();
    if (notable === undefined) return;
    if (notable.fatal) lastWords = notable.text;
    options.onNotable(`${name}: ${notable.text}`);
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", keep);
  // It may end while it is told something, which its end tells us.
  child.stdin.on("error", () => undefined);
  const exited = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => {
      closeSync(log);
      const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
      const said = lastWords === undefined ? "" : ` It said: ${lastWords}`;
      resolve(`The ${name} ${how}; its log is ${shortPath(logFile)}.${said}`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) =>
      reject(new LocalError(`The ${name} could not be started (${error.message}).`)),
    );
  });
  const standDown =
    child.pid === undefined ? undefined : guardGroup(child.pid, { graceMs: graceAfterOurDeathMs });
  const ended = exited.finally(() => standDown?.());
  return {
    name,
    exited: ended,
    stop: async ({ timeoutMs }) => {
      child.kill("SIGTERM");
      const cancel = new AbortController();
      const tooLong = delay(timeoutMs, undefined, { signal: cancel.signal }).then(
        () => child.kill("SIGKILL"),
        () => undefined,
      );
      await ended;
      cancel.abort();
      await tooLong;
    },
  };
}

// What the last run said before it failed is what a person wants to read after starting again.
function keepPrevious(logFile: string): void {
  if (existsSync(logFile)) renameSync(logFile, `${logFile}.previous`);
}
