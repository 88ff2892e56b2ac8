import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { residentBytes } from "../cpu-time.ts";
import type { Measured, ProgramPlace } from "../row.ts";

const START_MS = 60_000;

/** Starts the assistant as a process, on a database that is migrated, and stops it when it serves. */
export async function startAssistant({ assistantUrls }: ProgramPlace): Promise<Measured> {
  const started = performance.now();
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve("@tandem/assistant/main"))], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      TANDEM_LISTEN: "127.0.0.1:0",
      TANDEM_DBPROXY_LISTEN: "127.0.0.1:0",
      TANDEM_ALLOW_PLAINTEXT: "true",
      TANDEM_PLAINTEXT_CALLER: "gateway",
      TANDEM_DATABASE_URL: assistantUrls.database,
      TANDEM_MIGRATION_URL: assistantUrls.migration,
      TANDEM_DBPROXY_URL: assistantUrls.dbProxy,
      TANDEM_INVITE_KEYS_FILE: fileURLToPath(new URL("invite-keys.json", import.meta.url)),
      TANDEM_STOP_WHEN_INPUT_ENDS: "true",
    },
  });
  const exited = once(child, "exit");
  const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
  try {
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line.includes('"msg":"serving"')) return measured(performance.now() - started, child.pid);
    }
    throw new Error(`The assistant does not serve. It said:\n${lines.join("\n")}`);
  } finally {
    child.stdout.resume();
    child.kill("SIGTERM");
    await exited;
    clearTimeout(late);
  }
}

function measured(elapsedMs: number, pid: number | undefined): Measured {
  const serviceBytes = pid === undefined ? undefined : residentBytes(pid);
  return {
    completed: 1,
    elapsedMs,
    p50Ms: elapsedMs,
    p99Ms: elapsedMs,
    cpuMs: {},
    ...(serviceBytes === undefined ? {} : { serviceBytes }),
  };
}
