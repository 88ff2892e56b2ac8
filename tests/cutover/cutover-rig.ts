import { Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Authority, Cutover } from "@tandem/contract/tandem/gateway/v1/cutover";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { findFreePort } from "@tandem/embedded";
import { type Channel, type Client, createChannel, createClient } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { expect } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";

export type Side = "assistant" | "gateway";

export const authorityOf = { assistant: Authority.ASSISTANT, gateway: Authority.GATEWAY } as const;

/** A gateway as its callers see it. */
export interface GatewayClients {
  readonly service: Service;
  readonly contacts: Client<typeof Contacts>;
  readonly invites: Client<typeof Invites>;
  readonly cutover: Client<typeof Cutover>;
}

/** Both services as they are run, each of which brings to the other what it decides. */
export interface CutoverRig extends GatewayClients, AsyncDisposable {
  readonly pair: Pair;
  readonly assistant: Service;
  /** Another gateway on the same database; nothing is brought to this one. */
  startGateway(): Promise<GatewayClients>;
  /** Moves the authority there, if it isn't there. */
  letDecide(side: Side): Promise<void>;
  /** Resolves when nothing is on its way any more. */
  mirrored(timeoutMs?: number): Promise<void>;
  /** Fails unless both databases have the same contacts, channels and invites, and agree on who decides. */
  expectEqual(): Promise<void>;
}

export async function createCutoverRig(): Promise<CutoverRig> {
  await using parts = new AsyncDisposableStack();
  const pair = parts.use(await createPair());
  const port = await findFreePort();
  const assistant = await pair.startAssistant({ TANDEM_GATEWAY_ADDRESS: `127.0.0.1:${port}` });
  const gateway = await startGateway(parts, { pair, assistant, listen: `127.0.0.1:${port}` });
  const urls = [pair.assistant.url, pair.gateway.url];
  const inBoth = (text: string) => Promise.all(urls.map((url) => runSql(url, text)));
  const mirrored = async (timeoutMs = 60_000): Promise<void> => {
    const isEmpty = async (): Promise<boolean> =>
      (await inBoth("SELECT FROM tandem.outbox LIMIT 1")).every((rows) => rows.length === 0);
    await waitFor(isEmpty, { describe: "the mirror to have all of it", timeoutMs });
  };
  const running = parts.move();
  return {
    ...gateway,
    pair,
    assistant,
    startGateway: () => startGateway(running, { pair, assistant, listen: "127.0.0.1:0" }),
    letDecide: async (side) => {
      await mirrored();
      const { epoch } = await gateway.cutover.getAuthority({});
      const request = { authority: authorityOf[side], expectedEpoch: epoch };
      // All rows are compared first, of which there may be many.
      await gateway.cutover.setAuthority(request, { timeoutMs: MOVE_TIMEOUT_MS });
    },
    mirrored,
    expectEqual: async () => {
      await mirrored();
      const [ours, theirs] = await Promise.all([
        digestsOf(pair.gateway.url, "gateway"),
        digestsOf(pair.assistant.url, "assistant"),
      ]);
      const differing = [...ours.keys(), ...theirs.keys()].filter((key) => ours.get(key) !== theirs.get(key));
      const buckets = differing.slice(0, MAX_SHOWN);
      const rows = await Promise.all([
        rowsOf(pair.gateway.url, "gateway", buckets),
        rowsOf(pair.assistant.url, "assistant", buckets),
      ]);
      expect(rows[0]).toEqual(rows[1]);
      const [one, other] = await inBoth("SELECT authority, phase, epoch FROM tandem.authority");
      expect(one).toEqual(other);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function startGateway(
  parts: AsyncDisposableStack,
  { pair, assistant, listen }: { readonly pair: Pair; readonly assistant: Service; readonly listen: string },
): Promise<GatewayClients> {
  const service = await pair.startGateway({
    TANDEM_LISTEN: listen,
    TANDEM_ASSISTANT_ADDRESS: await assistant.dbProxyAddress(),
    TANDEM_CONTACTS_CALLERS: "gateway",
    TANDEM_INVITES_CALLERS: "gateway",
    TANDEM_CUTOVER_CALLERS: "gateway",
    // All who call here are one: nobody shows a certificate.
    TANDEM_MIRROR_CALLERS: "gateway",
  });
  await service.serving();
  const channel: Channel = createChannel({ address: await service.address() });
  parts.defer(() => channel.close());
  return {
    service,
    contacts: createClient(Contacts, channel),
    invites: createClient(Invites, channel),
    cutover: createClient(Cutover, channel),
  };
}

export const invitesOf = { gateway: "ingress_invites", assistant: "assistant_ingress_invites" } as const;

const MOVE_TIMEOUT_MS = 120_000;
// Of 256.
const MAX_SHOWN = 3;

// Of all rows, each as a text: what the two databases are compared by. There may be too many of them to be shown, or held.
const allRows = (side: Side): string =>
  ["contacts", "contact_channels", invitesOf[side]]
    .map((table) => `SELECT left(md5(id::text), 2) AS bucket, to_jsonb(t)::text AS row FROM ${table} t`)
    .join(" UNION ALL ");

async function digestsOf(url: string, side: Side): Promise<ReadonlyMap<string, unknown>> {
  const digest = "md5(string_agg(row, '' ORDER BY row)) AS digest";
  const rows = await runSql(url, `SELECT bucket, ${digest} FROM (${allRows(side)}) r GROUP BY bucket`);
  return new Map(rows.map((row) => [String(row["bucket"]), row["digest"]]));
}

async function rowsOf(url: string, side: Side, buckets: readonly string[]): Promise<readonly unknown[]> {
  if (buckets.length === 0) return [];
  const some = `bucket = ANY ('{${buckets.join(",")}}')`;
  const rows = await runSql(url, `SELECT row FROM (${allRows(side)}) r WHERE ${some} ORDER BY row`);
  return rows.map(({ row }) => row);
}

/** How many rows there are on a side, of all tables. */
export async function countOf(url: string, side: Side): Promise<number> {
  const [counted] = await runSql(url, `SELECT count(*)::int AS rows FROM (${allRows(side)}) r`);
  return Number(counted?.["rows"]);
}
