import { fileURLToPath } from "node:url";
import { findFreePort } from "@tandem/embedded";
import { assistantDatabase, bootstrapCluster, rolesOf } from "@tandem/postgres";
import {
  createProcesses,
  createTcpRelay,
  expectNoOpenTransactions,
  type Processes,
  runSql,
  startCrashableServer,
  type TcpRelay,
} from "@tandem/testkit";
import { NAP, plaintextEnvironment, type Service, toService } from "../pair.ts";

/** An assistant and its PostgreSQL as processes that can be killed, and the links to either, which can break. */
export interface Rig extends AsyncDisposable {
  /** Where clients reach the assistant: the near end of `clientLink`. */
  readonly address: string;
  readonly clientLink: TcpRelay;
  /** Between the assistant and PostgreSQL. */
  readonly databaseLink: TcpRelay;
  /** Makes tables as the database's owner, and opens them to DbProxy. */
  define(ddl: string): Promise<void>;
  /** Runs a statement as the superuser, past the links. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
  /** Kills the assistant (-9) and starts another on the same port; resolves when it serves. */
  killAssistant(): Promise<void>;
  /** Crashes PostgreSQL and starts it again; resolves when it accepts connections. */
  crashPostgres(): Promise<void>;
  /** Stops the assistant in order: nothing that any of them ever received can take effect after that. */
  stopAssistant(): Promise<void>;
  /** What the assistants logged, of all their lives, in order. */
  log(): readonly string[];
}

const { owner, dbproxy = "" } = assistantDatabase.roles;

/**
 * Starts it all, on a server of its own, with an assistant that serves. Where an assistant has ended without
 * having been told to, killing or stopping it fails.
 */
export async function createRig(): Promise<Rig> {
  await using parts = new AsyncDisposableStack();
  const server = parts.use(await startCrashableServer());
  const roles = rolesOf(assistantDatabase);
  const passwords = Object.fromEntries(roles.map((role) => [role, `${role}-test`]));
  await bootstrapCluster({ adminUrl: server.adminUrl, databases: [assistantDatabase], passwords });
  const superuserUrl = new URL(server.adminUrl);
  superuserUrl.pathname = `/${assistantDatabase.name}`;
  await runSql(superuserUrl.href, NAP);
  const link = async (port: number): Promise<TcpRelay> => {
    const relay = await createTcpRelay({ target: { host: "127.0.0.1", port } });
    parts.defer(() => relay.close());
    return relay;
  };
  const port = await findFreePort();
  const clientLink = await link(port);
  const databaseLink = await link(server.port);
  const processes = createProcesses();
  parts.defer(() => processes.end());
  const assistant = createAssistant({ processes, port, databasePort: databaseLink.port });
  await assistant.start();
  const running = parts.move();
  return {
    address: clientLink.address,
    clientLink,
    databaseLink,
    define: async (ddl) => {
      const grant = `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${dbproxy}`;
      await runSql(roleUrl(owner, server.port), `${ddl}; ${grant}`);
    },
    sql: (text) => runSql(superuserUrl.href, text),
    killAssistant: async () => {
      await assistant.end("SIGKILL");
      await assistant.start();
    },
    crashPostgres: async () => {
      await server.crash();
      await server.restart();
    },
    stopAssistant: async () => {
      await assistant.end("SIGTERM");
      await expectNoOpenTransactions(superuserUrl.href);
    },
    log: () => assistant.log(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function roleUrl(role: string, port: number): string {
  return `postgres://${role}:${role}-test@127.0.0.1:${port}/${assistantDatabase.name}`;
}

interface Assistant {
  /** Resolves when it serves. */
  start(): Promise<void>;
  /** Ends it with a signal. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  log(): readonly string[];
}

function createAssistant(options: {
  readonly processes: Processes;
  readonly port: number;
  readonly databasePort: number;
}): Assistant {
  const { processes, port, databasePort } = options;
  const main = fileURLToPath(import.meta.resolve("@tandem/assistant/main"));
  const env = {
    ...plaintextEnvironment,
    TANDEM_DBPROXY_LISTEN: `127.0.0.1:${port}`,
    TANDEM_DATABASE_URL: roleUrl(assistantDatabase.roles.app, databasePort),
    TANDEM_MIGRATION_URL: roleUrl(owner, databasePort),
    TANDEM_DBPROXY_URL: roleUrl(dbproxy, databasePort),
    TANDEM_STOP_WHEN_INPUT_ENDS: "true",
  };
  const lives: Service[] = [];
  return {
    start: async () => {
      const service = toService("assistant", await processes.spawn({ args: [main], env }));
      lives.push(service);
      await service.serving().catch((cause: unknown) => {
        throw new Error(`The assistant does not serve. It said last:\n${lastLines(service)}`, { cause });
      });
    },
    end: async (signal) => {
      const life = lives.at(-1);
      if (life === undefined) throw new Error("No assistant was started.");
      life.process.kill(signal);
      const exit = await life.process.waitForExit({ timeoutMs: 15_000 });
      if (signal === "SIGTERM" ? exit.code === 0 : exit.signal === "SIGKILL") return;
      throw new Error(
        `The assistant ended by itself (${JSON.stringify(exit)}). It said last:\n${lastLines(life)}`,
      );
    },
    log: () => lives.flatMap((life) => life.process.lines()),
  };
}

function lastLines(service: Service): string {
  return service.process.lines().slice(-5).join("\n");
}
