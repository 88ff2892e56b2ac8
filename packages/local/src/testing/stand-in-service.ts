// Stands in for either service where a test is about the supervisor: it keeps the services' contract
// (environment, health, log, drain) and misbehaves when it is told to.
import { setTimeout as delay } from "node:timers/promises";
import { createDatabase } from "@tandem/postgres";
import { createLogger, openRules, readProcessConfig, RpcServer, Settings } from "@tandem/rpc";

const {
  TANDEM_LISTEN = "",
  TANDEM_DATABASE_URL = "",
  TANDEM_MIGRATION_URL = "",
  TANDEM_ASSISTANT_ADDRESS,
  STAND_IN_FAULT = "",
  // oxlint-disable-next-line node/no-process-env -- a test's program, whose settings are its test's
} = process.env;
const name = TANDEM_ASSISTANT_ADDRESS === undefined ? "assistant" : "gateway";
const fault = STAND_IN_FAULT.startsWith(`${name}:`) ? STAND_IN_FAULT.slice(name.length + 1) : "none";
const logger = createLogger({ service: name });

// oxlint-disable-next-line node/no-process-env -- as above
const { identity } = readProcessConfig(new Settings(process.env), { listen: TANDEM_LISTEN });

let stop = async (): Promise<void> => undefined;
let stopping = false;

try {
  if (fault === "deaf") await beDeaf();
  else await serve();
} catch (error) {
  if (!stopping) {
    logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

// Neither a signal nor the end of its input ends it.
async function beDeaf(): Promise<void> {
  process.on("SIGTERM", () => logger.info("told to stop, and staying"));
  logger.info({ pid: process.pid }, "deaf");
  setInterval(() => undefined, 1_000);
  const server = createServer();
  await server.listen(TANDEM_LISTEN);
  server.health.setAll(true);
}

async function serve(): Promise<void> {
  if (fault === "fails") throw new Error("The stars are not right.");
  logger.info({ pid: process.pid }, "starting");
  process.on("SIGTERM", () => void end());
  process.stdin.resume().once("close", () => void end());
  const database = createDatabase({ url: TANDEM_DATABASE_URL, applicationName: name });
  const owner = createDatabase({ url: TANDEM_MIGRATION_URL, applicationName: `${name}-owner` });
  await Promise.all([database.ping(), owner.ping()]);
  await owner.sql`CREATE TABLE IF NOT EXISTS starts (at timestamptz DEFAULT now())`;
  await owner.sql`INSERT INTO starts DEFAULT VALUES`;
  await owner.close();
  if (fault === "slow") await delay(60_000);
  const server = createServer();
  await server.listen(TANDEM_LISTEN);
  stop = async () => {
    await server.drain();
    const [row] = await database.sql`SELECT count(*)::int AS starts FROM starts`;
    await database.close();
    logger.info({ ...row, at: Date.now() }, "drained");
  };
  logger.warn("a warning for whoever watches");
  server.health.setAll(true);
}

function createServer(): RpcServer {
  return new RpcServer({ logger, identity: { ...identity, rules: openRules({ reflection: false }) } });
}

async function end(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await stop();
  process.exit(0);
}
