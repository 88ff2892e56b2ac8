import { execFile } from "node:child_process";
import { appendFile, chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import {
  QueryResponseSchema,
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type EmbeddedServer, startEmbeddedServer } from "@tandem/embedded";
import { createLogger, type EncodedMessage } from "@tandem/rpc";
import { type DeclaredStatement, defineStatement } from "@tandem/statements";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { givenQuery, givenTransaction } from "../testing/given.ts";
import { createDbProxy, type DbProxy } from "./db-proxy.ts";

const logger = createLogger({ service: "assistant", level: "silent" });
const settings = { fsync: "off" };
const caller = (timeoutMs: number) => ({
  name: "test",
  deadline: new Date(Date.now() + timeoutMs),
  signal: AbortSignal.timeout(timeoutMs + 5_000),
});

let folder: string;
let primary: EmbeddedServer;
let standby: EmbeddedServer;
let onPrimary: DbProxy;
let onStandby: DbProxy;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-standby-"));
  await chmod(folder, 0o711);
  const first = await startEmbeddedServer({ dataFolder: join(folder, "primary"), settings });
  await runSql(first.adminUrl, "CREATE TABLE counter (n int)");
  await runSql(first.adminUrl, "INSERT INTO counter VALUES (0)");
  await first.stop();
  // With its owners: as root, the server runs as another user.
  await promisify(execFile)("cp", ["-a", first.dataFolder, join(folder, "standby")]);
  primary = await startEmbeddedServer({ dataFolder: join(folder, "primary"), settings });
  const { password } = new URL(primary.adminUrl);
  const cluster = join(folder, "standby", "cluster");
  const source = `host=127.0.0.1 port=${primary.port} user=postgres password=${decodeURIComponent(password)}`;
  await appendFile(join(cluster, "postgresql.auto.conf"), `primary_conninfo = '${source}'\n`);
  await writeFile(join(cluster, "standby.signal"), "");
  standby = await startEmbeddedServer({ dataFolder: join(folder, "standby"), settings });
  onPrimary = await createDbProxy({ url: primary.adminUrl, logger });
  onStandby = await createDbProxy({ url: standby.adminUrl, logger });
}, 120_000);
afterAll(async () => {
  await onPrimary[Symbol.asyncDispose]();
  await onStandby[Symbol.asyncDispose]();
  await standby.stop();
  await primary.stop();
  await rm(folder, { recursive: true, force: true });
});

const increment = givenTransaction({
  steps: [{ statement: { case: "sql", value: "UPDATE counter SET n = n + 1 RETURNING n" } }],
});
const read = (more: object = {}) =>
  givenQuery({ statement: { case: "sql", value: "SELECT n FROM counter" }, ...more });
const numberIn = (answer: { rows: { values: { kind: { value?: unknown } }[] }[] } | undefined): unknown =>
  answer?.rows[0]?.values[0]?.kind.value;
const numberOf = ({ bytes }: EncodedMessage): unknown => numberIn(fromBinary(QueryResponseSchema, bytes));

async function write(): Promise<TransactionResponse> {
  const { bytes } = await onPrimary.transaction(increment, caller(5_000));
  return fromBinary(TransactionResponseSchema, bytes);
}

describe("an instance on a hot standby", () => {
  it("reads a write as soon as its token says, however far the replay is behind", async () => {
    await runSql(standby.adminUrl, "SELECT pg_wal_replay_pause()");
    const { writeToken, results } = await write();
    const written = numberIn(results[0]);
    expect(numberOf(await onStandby.query(read(), caller(5_000)))).not.toBe(written);
    const waiting = onStandby.query(read({ atLeastAsFresh: writeToken }), caller(10_000));
    await runSql(standby.adminUrl, "SELECT pg_wal_replay_resume()");
    expect(numberOf(await waiting)).toBe(written);
  });

  it("says NOT_READY, retryable, where the replay doesn't come so far before the deadline", async () => {
    await runSql(standby.adminUrl, "SELECT pg_wal_replay_pause()");
    const { writeToken } = await write();
    const waiting = onStandby.query(read({ atLeastAsFresh: writeToken }), caller(500));
    await expect(waiting).rejects.toMatchObject({ reason: "NOT_READY", retryable: true });
    await runSql(standby.adminUrl, "SELECT pg_wal_replay_resume()");
  });

  it("holds the registered statements against its database as the primary does", async () => {
    const add = defineStatement({
      name: "counter.add",
      params: { n: "int4" },
      sql: "UPDATE counter SET n = n + $1 RETURNING n",
      result: { n: "int4" },
    });
    const check = async (registered: DeclaredStatement): Promise<void> => {
      await using starting = await createDbProxy({
        url: standby.adminUrl,
        registered: [registered],
        logger,
      });
      await starting.checkRegistered(AbortSignal.timeout(10_000));
    };
    await check(add);
    await expect(check({ ...add, result: { n: "int8" } })).rejects.toThrow(
      'counter.add: its column "n" is declared as int8, and PostgreSQL gives int4.',
    );
  });

  it("lends its connections again, cleaned as on a primary", async () => {
    const statement = { case: "sql" as const, value: "SELECT pg_backend_pid()" };
    const backends = new Set<unknown>();
    for (let count = 0; count < 40; count += 1) {
      backends.add(numberOf(await onStandby.query(read({ statement }), caller(5_000))));
    }
    expect(backends.size).toBeLessThan(20);
  });

  it("takes no writes, and no reads that ask for the primary", async () => {
    await expect(onStandby.transaction(increment, caller(5_000))).rejects.toMatchObject({
      reason: "NOT_PRIMARY",
    });
    await expect(onStandby.query(read({ primary: true }), caller(5_000))).rejects.toMatchObject({
      reason: "NOT_PRIMARY",
    });
    expect(numberOf(await onPrimary.query(read({ primary: true }), caller(5_000)))).toBeTypeOf("bigint");
  });
});
