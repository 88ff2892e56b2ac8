import { Authority, Cutover } from "@tandem/contract/tandem/gateway/v1/cutover";
import { findFreePort } from "@tandem/embedded";
import { assistantDatabase, bootstrapCluster, type DatabasePlan, gatewayDatabase } from "@tandem/postgres";
import { createChannel, createClient } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit/wait-for";
import postgres from "postgres";
import { residentBytes, treeCpuMs } from "../cpu-time.ts";
import { nameOf, type PairSpec, type Side } from "../service/service-spec.ts";
import { adminUrlOf, passwordsOf, roleUrl } from "./roles.ts";
import { type ServiceProgram, startProgram } from "./service-program.ts";
import type { Service, ServiceUsage } from "./services.ts";

export interface PairOptions {
  readonly spec: PairSpec;
  /** A superuser's, of the server on which the pair's databases are made. */
  readonly adminUrl: string;
}

// A service brings some thousand rows a second: nothing that a row leaves takes longer.
const SETTLE_MS = 120_000;
const POLL_MS = 10;

/** Makes both databases, and starts both services on them; resolves when they serve and the one that is to decide does. */
export async function startPair({ spec, adminUrl }: PairOptions): Promise<Service> {
  const plans = plansOf(spec);
  const databases = Object.values(plans);
  await bootstrapCluster({ adminUrl, databases, passwords: passwordsOf(...databases) });
  await using parts = new AsyncDisposableStack();
  const gatewayAddress = `127.0.0.1:${await findFreePort()}`;
  const assistant = parts.use(
    await startProgram("assistant", {
      ...databaseSettings(adminUrl, plans.assistant),
      TANDEM_DBPROXY_URL: roleUrl(adminUrl, plans.assistant, "dbproxy"),
      TANDEM_DBPROXY_LISTEN: "127.0.0.1:0",
      TANDEM_GATEWAY_ADDRESS: gatewayAddress,
    }),
  );
  const gateway = parts.use(
    await startProgram("gateway", {
      ...databaseSettings(adminUrl, plans.gateway),
      TANDEM_LISTEN: gatewayAddress,
      TANDEM_ASSISTANT_ADDRESS: assistant.dbProxyAddress ?? "",
      TANDEM_INVITES_CALLERS: "gateway",
      TANDEM_CUTOVER_CALLERS: "gateway",
      // Without certificates all callers are one.
      TANDEM_MIRROR_CALLERS: "gateway",
    }),
  );
  await letDecide(gatewayAddress, spec.decides);
  const adminUrls = {
    assistant: adminUrlOf(adminUrl, plans.assistant),
    gateway: adminUrlOf(adminUrl, plans.gateway),
  };
  const mirror = parts.use(watchMirror(Object.values(adminUrls)));
  const usage = async (): Promise<ServiceUsage> => usageOf([assistant, gateway]);
  const atRest = await usage();
  const running = parts.move();
  return {
    name: nameOf(spec),
    place: { address: gatewayAddress, databases: adminUrls },
    atRest,
    usage,
    settle: mirror.settle,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function plansOf({ decides, twin }: PairSpec): Readonly<Record<Side, DatabasePlan>> {
  const suffix = twin === undefined ? decides : `${decides}_${twin}`;
  const named = (plan: DatabasePlan): DatabasePlan => ({ ...plan, name: `${plan.name}_of_${suffix}` });
  return { assistant: named(assistantDatabase), gateway: named(gatewayDatabase) };
}

function databaseSettings(adminUrl: string, plan: DatabasePlan): Readonly<Record<string, string>> {
  return {
    TANDEM_DATABASE_URL: roleUrl(adminUrl, plan, "app"),
    TANDEM_MIGRATION_URL: roleUrl(adminUrl, plan, "owner"),
  };
}

/** A new pair has the assistant decide. */
async function letDecide(address: string, side: Side): Promise<void> {
  if (side === "assistant") return;
  using channel = new DisposableStack();
  const cutover = createClient(
    Cutover,
    channel.adopt(createChannel({ address }), (opened) => opened.close()),
  );
  const { epoch } = await cutover.getAuthority({});
  await cutover.setAuthority({ authority: Authority.GATEWAY, expectedEpoch: epoch });
}

/** Of both processes together. */
function usageOf(programs: readonly ServiceProgram[]): ServiceUsage {
  const sum = (of: (pid: number) => number | undefined): number | undefined =>
    programs.reduce<number | undefined>((total, { pid }) => {
      const value = of(pid);
      return total === undefined || value === undefined ? undefined : total + value;
    }, 0);
  return { cpuMs: sum(treeCpuMs), residentBytes: sum(residentBytes) };
}

/** Knows when nothing is on its way from one of these databases to the other any more. */
function watchMirror(urls: readonly string[]): AsyncDisposable & { readonly settle: () => Promise<void> } {
  const connections = urls.map((url) => postgres(url, { max: 1, idle_timeout: 0 }));
  const isEmpty = async (): Promise<boolean> => {
    const waiting = await Promise.all(connections.map((sql) => sql`SELECT FROM tandem.outbox LIMIT 1`));
    return waiting.every(({ count }) => count === 0);
  };
  return {
    settle: async () => {
      const describe = "all that was written to be in the mirror";
      await waitFor(isEmpty, { describe, timeoutMs: SETTLE_MS, pollMs: POLL_MS });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(connections.map((sql) => sql.end({ timeout: 1 })));
    },
  };
}
