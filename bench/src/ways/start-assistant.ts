import { residentBytes } from "../cpu-time.ts";
import { startProgram } from "../place/service-program.ts";
import type { Measured, ProgramPlace } from "../row.ts";

/** Starts the assistant as a process, on a database that is migrated, and stops it when it serves. */
export async function startAssistant({ assistantUrls }: ProgramPlace): Promise<Measured> {
  const started = performance.now();
  await using assistant = await startProgram("assistant", {
    TANDEM_DBPROXY_LISTEN: "127.0.0.1:0",
    TANDEM_DATABASE_URL: assistantUrls.database,
    TANDEM_MIGRATION_URL: assistantUrls.migration,
    TANDEM_DBPROXY_URL: assistantUrls.dbProxy,
  });
  const elapsedMs = performance.now() - started;
  const serviceBytes = residentBytes(assistant.pid);
  return {
    completed: 1,
    elapsedMs,
    p50Ms: elapsedMs,
    p99Ms: elapsedMs,
    cpuMs: {},
    ...(serviceBytes === undefined ? {} : { serviceBytes }),
  };
}
