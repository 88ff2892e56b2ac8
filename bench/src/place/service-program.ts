import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { environmentForPrograms } from "../config.ts";
import type { Side } from "../service/service-spec.ts";

/** A service as it is run, in a process of its own. */
export interface ServiceProgram extends AsyncDisposable {
  readonly pid: number;
  readonly address: string;
  /** Where the assistant's DbProxy listens. */
  readonly dbProxyAddress?: string;
}

/** The keys of invites of every service here. */
export const inviteKeysFile: string = fileURLToPath(new URL("invite-keys.json", import.meta.url));

// Several are started at once, on a machine that may have other things to do.
const START_MS = 120_000;
// Longer than it takes to drain.
const STOP_MS = 15_000;
// Whoever calls is taken for the gateway.
const plaintext = {
  TANDEM_LISTEN: "127.0.0.1:0",
  TANDEM_ALLOW_PLAINTEXT: "true",
  TANDEM_PLAINTEXT_CALLER: "gateway",
  TANDEM_INVITE_KEYS_FILE: inviteKeysFile,
  TANDEM_STOP_WHEN_INPUT_ENDS: "true",
};

/**
 * Starts a service with its defaults but for these settings; resolves when it serves. What it warns of goes to standard
 * error. It ends when it is disposed of, or this process is gone.
 */
export async function startProgram(
  name: Side,
  settings: Readonly<Record<string, string>>,
): Promise<ServiceProgram> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve(`@tandem/${name}/main`))], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...environmentForPrograms(), ...plaintext, ...settings },
  });
  // It may end while it is told that we did.
  child.stdin.on("error", () => undefined);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const tooLong = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(tooLong);
  };
  const serving = Promise.withResolvers<string>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.includes('"msg":"serving"')) serving.resolve(line);
    if (!line.includes('"level":"info"')) process.stderr.write(`${name}: ${line}\n`);
  });
  const fail = (how: string): void => serving.reject(new Error(`The ${name} does not serve: ${how}.`));
  const late = setTimeout(() => fail(`it takes longer than ${START_MS / 1_000} s`), START_MS);
  void ended.then((how) => fail(`it ended (${how})`));
  try {
    const said = JSON.parse(await serving.promise) as Pick<ServiceProgram, "address" | "dbProxyAddress">;
    // It has one: it has written a line.
    const pid = child.pid ?? 0;
    const { address, dbProxyAddress } = said;
    const reached = dbProxyAddress === undefined ? { address } : { address, dbProxyAddress };
    return { pid, ...reached, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(late);
  }
}
