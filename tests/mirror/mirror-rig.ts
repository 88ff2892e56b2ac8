import { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import { Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Cutover } from "@tandem/contract/tandem/gateway/v1/cutover";
import { InviteMirror } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { findFreePort } from "@tandem/embedded";
import { type Client, createChannel, createClient } from "@tandem/rpc";
import { createTcpRelay, runSql, type TcpRelay, waitFor } from "@tandem/testkit";
import { createPair, type Pair, type Service } from "../pair.ts";

type Rows = readonly Readonly<Record<string, unknown>>[];

/** Both services as processes of their own, where the assistant decides, with the link over which it mirrors. */
export interface MirrorRig extends AsyncDisposable {
  readonly assistant: Service;
  readonly gateway: Service;
  /** From the assistant to the gateway. */
  readonly link: TcpRelay;
  /** At the assistant, as the gateway calls it. */
  readonly ingress: Client<typeof IngressInvites>;
  /** At the gateway. */
  readonly contacts: Client<typeof Contacts>;
  readonly mirror: Client<typeof InviteMirror>;
  readonly cutover: Client<typeof Cutover>;
  /** Runs a statement in one of the databases as the superuser. */
  sql(side: "assistant" | "gateway", text: string): Promise<Rows>;
  /** Resolves when the assistant has nothing more to bring. */
  mirrored(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/** Everybody that may call the gateway is the one that calls in tests. */
export const openGateway: Readonly<Record<string, string>> = {
  TANDEM_CONTACTS_CALLERS: "gateway",
  TANDEM_INVITES_CALLERS: "gateway",
  TANDEM_CUTOVER_CALLERS: "gateway",
  TANDEM_MIRROR_CALLERS: "gateway",
};

export async function createMirrorRig(): Promise<MirrorRig> {
  await using parts = new AsyncDisposableStack();
  const pair: Pair = parts.use(await createPair());
  const port = await findFreePort();
  const link = await createTcpRelay({ target: { host: "127.0.0.1", port } });
  parts.defer(() => link.close());
  const assistant = await pair.startAssistant({ TANDEM_GATEWAY_ADDRESS: link.address });
  const gateway = await pair.startGateway({
    ...openGateway,
    TANDEM_LISTEN: `127.0.0.1:${port}`,
    TANDEM_ASSISTANT_ADDRESS: await assistant.dbProxyAddress(),
  });
  await gateway.serving();
  const open = (address: string) => parts.adopt(createChannel({ address }), (opened) => opened.close());
  const toAssistant = open(await assistant.dbProxyAddress());
  const toGateway = open(`127.0.0.1:${port}`);
  const sql: MirrorRig["sql"] = (side, text) => runSql(pair[side].url, text);
  const running = parts.move();
  return {
    assistant,
    gateway,
    link,
    ingress: createClient(IngressInvites, toAssistant),
    contacts: createClient(Contacts, toGateway),
    mirror: createClient(InviteMirror, toGateway),
    cutover: createClient(Cutover, toGateway),
    sql,
    mirrored: async ({ timeoutMs = 15_000 } = {}) => {
      const isEmpty = async (): Promise<boolean> => {
        const [row] = await sql("assistant", "SELECT count(*)::int AS waiting FROM tandem.outbox");
        return row?.["waiting"] === 0;
      };
      await waitFor(isEmpty, { describe: "the outbox to be empty", timeoutMs, pollMs: 50 });
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Writes a contact into the assistant's database, past every service. */
export async function insertContact(
  { sql }: Pick<MirrorRig, "sql">,
  id: string = crypto.randomUUID(),
): Promise<string> {
  await sql("assistant", `INSERT INTO contacts (id, display_name) VALUES ('${id}', 'Somebody')`);
  return id;
}

export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? Number.NaN;
}
