import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { CertificatesError } from "@tandem/certificates";
import { EmbeddedServerError } from "@tandem/embedded";
import { BootstrapError, ConnectError } from "@tandem/postgres";
import { HandlerError, PeerNotReadyError, SettingError, whenAborted } from "@tandem/rpc";
import { claimMachine } from "./claim-machine.ts";
import { certificatesFolder, type LocalConfig, portVariables, readConfig, shortPath } from "./config.ts";
import { LocalError } from "./local-error.ts";
import { createProgress, type Progress } from "./progress.ts";
import { runExample } from "./run-example.ts";
import { type Shown, showInvites } from "./show-invites.ts";
import { type Part, type Programs, startPair } from "./start-pair.ts";
import { watchStopRequests } from "./stop-requests.ts";

// Both services finish their calls while PostgreSQL is still there for them. One after the other they would
// not fit into the time within which everything ends.
const stopOrder = [["gateway", "assistant"], ["postgres"]] as const;

/** What to run and whom to tell. */
export interface LocalOptions {
  readonly programs: Programs;
  /** For progress, and what the parts warn of. */
  readonly write: (text: string) => void;
  /** For the reason of a failure. */
  readonly writeError: (text: string) => void;
}

/**
 * Runs the pair with its PostgreSQL until it is asked to stop (a signal, the end of its parent) or a
 * part of it ends, then stops everything: the services first, then PostgreSQL.
 *
 * @returns the exit code: 0 after a request, 1 after a failure, whose reason was written in a sentence
 */
export async function runLocal(options: LocalOptions): Promise<0 | 1> {
  const progress = createProgress(options.write);
  const stop = watchStopRequests();
  try {
    const config = readConfig();
    const lock = await claimMachine(config);
    try {
      await runParts({ config, progress, programs: options.programs, requested: stop.signal });
      progress.say("everything is stopped");
      return 0;
    } finally {
      await lock.release();
    }
  } catch (error) {
    options.writeError(`tandem: ${describe(error)}\n`);
    return 1;
  } finally {
    stop.dispose();
  }
}

async function runParts(options: {
  readonly config: LocalConfig;
  readonly progress: Progress;
  readonly programs: Programs;
  readonly requested: AbortSignal;
}): Promise<void> {
  const { config, progress, programs, requested } = options;
  const parts: Part[] = [];
  // Aborted by a request, by a part's death, and where the start fails: nothing more is to be started.
  const over = new AbortController();
  const signal = AbortSignal.any([requested, over.signal]);
  const death = Promise.withResolvers<never>();
  // It may come while nobody waits for it any more.
  death.promise.catch(() => undefined);
  const onStarted = (part: Part): void => {
    parts.push(part);
    void part.exited.then((sentence) => death.reject(new LocalError(sentence)));
  };
  const starting = startPair({ config, progress, programs, signal, onStarted });
  try {
    await Promise.race([starting, death.promise, whenAborted(requested)]);
    if (!requested.aborted) {
      await announce(config, progress);
      if (config.example) {
        const showing = showExample(config, { progress, signal, databaseUrls: await starting });
        await Promise.race([showing, death.promise]);
      }
      await Promise.race([death.promise, whenAborted(requested)]);
    }
    progress.say(`stopping (${String(requested.reason)})`);
  } catch (error) {
    if (!requested.aborted) {
      progress.say("something has failed: stopping everything");
      throw error;
    }
  } finally {
    over.abort(new LocalError("The start was called off."));
    // What is being started has ended or is among the parts when this is settled.
    await starting.catch(() => undefined);
    for (const names of stopOrder) {
      const due = parts.filter(({ name }) => names.some((each) => each === name));
      await Promise.all(due.map((part) => part.stop()));
    }
  }
}

async function announce(config: LocalConfig, progress: Progress): Promise<void> {
  const { gateway, assistant, dbProxy, postgres } = config.ports;
  progress.print(
    `tandem ready in ${progress.elapsed()}: gateway 127.0.0.1:${gateway}, assistant 127.0.0.1:${assistant}, ` +
      `its DbProxy 127.0.0.1:${dbProxy}, postgres 127.0.0.1:${postgres} (databases gateway, assistant)`,
  );
  // As root, PostgreSQL's user may have had to be given another place.
  const wanted = join(await realpath(config.dataFolder), "postgres");
  const actual = await realpath(wanted);
  const elsewhere = actual === wanted ? "" : `, PostgreSQL's in ${actual}`;
  progress.print(`Ctrl-C stops everything; data stays in ${shortPath(config.dataFolder)}${elsewhere}`);
}

async function showExample(
  config: LocalConfig,
  {
    progress,
    signal,
    databaseUrls,
  }: { readonly progress: Progress } & Pick<Shown, "signal" | "databaseUrls">,
): Promise<void> {
  progress.print(
    "\nthe README's example, two transactions in the assistant's database (packages/local/src/example.ts):",
  );
  const print = (line: string): void => progress.print(`  ${line}`);
  const address = `127.0.0.1:${config.ports.dbProxy}`;
  const certificates = certificatesFolder(config);
  await runExample({ address, certificates, print, signal });
  progress.print("\nan invite, which the assistant decides about and the gateway mirrors (docs/invites.md):");
  const gateway = `127.0.0.1:${config.ports.gateway}`;
  await showInvites({ address: gateway, certificates, databaseUrls, print, signal });
}

const foreseen = [
  LocalError,
  SettingError,
  EmbeddedServerError,
  CertificatesError,
  BootstrapError,
  ConnectError,
  PeerNotReadyError,
  HandlerError,
];

function describe(error: unknown): string {
  if (error instanceof EmbeddedServerError && error.reason === "PORT_TAKEN") {
    return `${error.message} (${portVariables.postgres} sets it.)`;
  }
  if (foreseen.some((known) => error instanceof known) && error instanceof Error) return error.message;
  // Of the file system: a disk that is full, a file where a folder should be.
  if (error instanceof Error && "syscall" in error && "path" in error) {
    return `${error.message}. Mend that, or set TANDEM_DATA to another folder.`;
  }
  const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `this is a defect, please report it: ${details}`;
}
