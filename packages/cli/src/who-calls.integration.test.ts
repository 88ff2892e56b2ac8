import { provideCertificates } from "@tandem/certificates";
import { Health } from "@tandem/contract/health/v1/health";
import {
  allow,
  type ChannelIdentityOptions,
  createChannel,
  createClient,
  createLogger,
  HandlerError,
  RpcServer,
} from "@tandem/rpc";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runCommandLine } from "./command-line.ts";

let folder: string;
let tokensFile: string;
let server: RpcServer;
let address: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-cli-"));
  tokensFile = join(folder, "tokens");
  await writeFile(tokensFile, "", { mode: 0o600 });
  await run("certificates", "assistant", "gateway", "stranger", "--folder", folder);
  server = new RpcServer({
    logger: createLogger({ service: "assistant", level: "silent" }),
    identity: { tls: await tlsOf("assistant"), tokensFile, rules: allow(Health, { check: ["gateway"] }) },
  });
  address = await server.listen("127.0.0.1:0");
});

afterEach(async () => {
  await server.drain({ timeoutMs: 0 });
  await rm(folder, { recursive: true });
});

it("makes certificates by which a server knows its callers, and they the server", async () => {
  expect(await call({ tls: { ...(await tlsOf("gateway")), peer: "assistant" } })).toBe("OK");
  expect(await call({ tls: await tlsOf("stranger") })).toBe("METHOD_NOT_ALLOWED");
  expect(await call({ tls: { ...(await tlsOf("gateway")), peer: "gateway" } })).toBe("TransportError");
});

it("makes tokens that a running server takes, until they are revoked", async () => {
  const token = (await run("token", "create", "gateway", "--file", tokensFile)).trim();
  const { authorityFile } = await tlsOf("gateway");
  const withToken = (): Promise<string> => call({ tls: { authorityFile }, token });
  await expect.poll(withToken).toBe("OK");
  await run("token", "revoke", "gateway", "--file", tokensFile);
  await expect.poll(withToken).toBe("UNAUTHENTICATED");
});

async function tlsOf(name: string): Promise<{
  readonly authorityFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}> {
  const { authorityFile, of } = await provideCertificates({ folder, names: [name] });
  const { certificateFile, keyFile } = of[name]!;
  return { authorityFile, certificateFile, keyFile };
}

async function call(as: ChannelIdentityOptions): Promise<string> {
  const channel = createChannel({ address, ...as });
  try {
    await createClient(Health, channel).check({}, { timeoutMs: 5_000 });
    return "OK";
  } catch (error) {
    if (error instanceof HandlerError) return error.reason;
    return (error as Error).name;
  } finally {
    channel.close();
  }
}

async function run(...args: readonly string[]): Promise<string> {
  let out = "";
  let err = "";
  const code = await runCommandLine(args, {
    write: (text) => void (out += text),
    writeError: (text) => void (err += text),
  });
  expect([code, err.includes("tandem: ")], err).toEqual([0, false]);
  return out;
}
