import { fileURLToPath } from "node:url";
import { findFreePort } from "@tandem/embedded";
import {
  assistantDatabase,
  bootstrapCluster,
  type DatabasePlan,
  gatewayDatabase,
  rolesOf,
} from "@tandem/postgres";
import { type CrashableServer, createProcesses, runSql, startCrashableServer } from "@tandem/testkit";
import { NAP, plaintextEnvironment, type Service, toService } from "../pair.ts";
import { openGateway } from "./mirror-rig.ts";

export type Side = "assistant" | "gateway";
/** What can be killed. */
export const parts = ["assistant", "gateway", "PostgreSQL"] as const;
export type Part = (typeof parts)[number];

/** Both services and the PostgreSQL server of both, which can be killed and come back on the same ports. */
export interface CrashRig extends AsyncDisposable {
  readonly gatewayAddress: string;
  readonly assistantAddress: string;
  /** Kills it (-9) and starts it again; resolves when it serves. */
  kill(part: Part): Promise<void>;
  /** Runs a statement in one of the databases as the superuser. */
  sql(side: Side, text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** What the services that run have said last of what went wrong. */
  complaints(): string;
}

const plans: Readonly<Record<Side, DatabasePlan>> = {
  assistant: assistantDatabase,
  gateway: gatewayDatabase,
};

export async function createCrashRig(): Promise<CrashRig> {
  await using stack = new AsyncDisposableStack();
  const { server, sql } = await startDatabases(stack);
  const ports = { gateway: await findFreePort(), assistant: await findFreePort() };
  const gatewayAddress = `127.0.0.1:${ports.gateway}`;
  const assistantAddress = `127.0.0.1:${ports.assistant}`;
  const environments: Readonly<Record<Side, Readonly<Record<string, string>>>> = {
    assistant: {
      TANDEM_DBPROXY_LISTEN: assistantAddress,
      TANDEM_GATEWAY_ADDRESS: gatewayAddress,
      TANDEM_DBPROXY_URL: roleUrl(assistantDatabase, "dbproxy", server.port),
    },
    gateway: { ...openGateway, TANDEM_LISTEN: gatewayAddress, TANDEM_ASSISTANT_ADDRESS: assistantAddress },
  };
  const processes = createProcesses();
  stack.defer(() => processes.end());
  const lives = new Map<Side, Service>();
  const start = async (side: Side): Promise<void> => {
    const service = toService(
      side,
      await processes.spawn({
        args: [fileURLToPath(import.meta.resolve(`@tandem/${side}/main`))],
        env: {
          ...plaintextEnvironment,
          TANDEM_DATABASE_URL: roleUrl(plans[side], "app", server.port),
          TANDEM_MIGRATION_URL: roleUrl(plans[side], "owner", server.port),
          TANDEM_STOP_WHEN_INPUT_ENDS: "true",
          ...environments[side],
        },
      }),
    );
    lives.set(side, service);
    await service.process.waitForLine('"msg":"serving"', { timeoutMs: 30_000 });
  };
  await start("assistant");
  await start("gateway");
  const running = stack.move();
  return {
    gatewayAddress,
    assistantAddress,
    kill: async (part) => {
      if (part === "PostgreSQL") {
        await server.crash();
        return server.restart();
      }
      const life = lives.get(part);
      life?.process.kill("SIGKILL");
      const exit = await life?.process.waitForExit();
      if (exit?.signal !== "SIGKILL") throw new Error(`The ${part} ended by itself: ${JSON.stringify(exit)}`);
      return start(part);
    },
    sql,
    complaints: () =>
      [...lives]
        .flatMap(([, life]) =>
          life.process
            .lines()
            .filter((line) => !line.includes('"level":"info"'))
            .slice(-5),
        )
        .join("\n"),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The server, with both databases and no table in them. */
async function startDatabases(
  stack: AsyncDisposableStack,
): Promise<Pick<CrashRig, "sql"> & { readonly server: CrashableServer }> {
  const server = stack.use(await startCrashableServer());
  const databases = Object.values(plans);
  const passwords = Object.fromEntries(databases.flatMap(rolesOf).map((role) => [role, passwordOf(role)]));
  await bootstrapCluster({ adminUrl: server.adminUrl, databases, passwords });
  const sql: CrashRig["sql"] = (side, text) => {
    const url = new URL(server.adminUrl);
    url.pathname = `/${plans[side].name}`;
    return runSql(url.href, text);
  };
  await sql("assistant", NAP);
  return { server, sql };
}

const passwordOf = (role: string): string => `${role}-test`;

function roleUrl({ name, roles }: DatabasePlan, as: "app" | "owner" | "dbproxy", port: number): string {
  const role = roles[as] ?? "";
  return `postgres://${role}:${passwordOf(role)}@127.0.0.1:${port}/${name}`;
}
