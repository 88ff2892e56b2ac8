import { afterEach, beforeEach, expect, it } from "vitest";
import { createFakePostgres, type FakePostgres } from "../testing/fake-postgres.ts";
import { LinkPool, type LinkPoolOptions } from "./link-pool.ts";
import { Link } from "./link.ts";
import { OwnStatements } from "./own-statements.ts";
import { PreparedStatements } from "./prepared-statements.ts";

let server: FakePostgres;
let pools: LinkPool[];
beforeEach(async () => {
  server = await createFakePostgres();
  pools = [];
});
afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  expect(server.sockets, "all connections are closed with their pool").toEqual([]);
  await server[Symbol.asyncDispose]();
});

function createPool(options: Partial<LinkPoolOptions> = {}): {
  readonly pool: LinkPool;
  readonly lost: Error[];
} {
  const lost: Error[] = [];
  const own = new OwnStatements();
  const pool = new LinkPool({
    size: 1,
    waitMs: 5_000,
    maxIdleMs: 60_000,
    maxAgeMs: 60_000,
    open: () =>
      Link.open({
        config: server.config,
        maxMessageBytes: 1_024,
        prepared: new PreparedStatements(own),
      }),
    onLost: (error) => lost.push(error),
    ...options,
  });
  pools.push(pool);
  return { pool, lost };
}

it("lends the link that was given back, and at once", async () => {
  const { pool } = createPool({ size: 2 });
  const link = await pool.take();
  pool.giveBack(link, { clean: true });
  expect(pool.take()).toBe(link);
  pool.giveBack(link, { clean: true });
});

it("lends each link to one at a time", async () => {
  const { pool } = createPool({ size: 2 });
  const links = await Promise.all([pool.take(), pool.take()]);
  for (const link of links) pool.giveBack(link, { clean: true });
  expect(new Set([pool.take(), pool.take()])).toEqual(new Set(links));
  for (const link of links) pool.giveBack(link, { clean: true });
});

it("lets those who come when all are lent wait, first come first served", async () => {
  const { pool } = createPool();
  const link = await pool.take();
  const served: string[] = [];
  const waiting = ["first", "second"].map(async (name) => {
    const lent = await pool.take();
    served.push(name);
    pool.giveBack(lent, { clean: true });
  });
  expect(served).toEqual([]);
  pool.giveBack(link, { clean: true });
  await Promise.all(waiting);
  expect(served).toEqual(["first", "second"]);
});

it("says OVERLOADED to whoever waited in vain, and lends to nobody in its place", async () => {
  const { pool } = createPool({ waitMs: 20 });
  const link = await pool.take();
  await expect(pool.take()).rejects.toMatchObject({ reason: "OVERLOADED" });
  pool.giveBack(link, { clean: true });
  expect(pool.take()).toBe(link);
  pool.giveBack(link, { clean: true });
});

it("closes a link that isn't clean or was lost, and opens another for whoever waits", async () => {
  const { pool } = createPool();
  const dirty = await pool.take();
  const second = pool.take();
  pool.giveBack(dirty, { clean: false });
  const broken = await second;
  expect(broken).not.toBe(dirty);
  const third = pool.take();
  broken.destroy();
  await expect.poll(() => broken.lost).toBeDefined();
  pool.giveBack(broken, { clean: true });
  const last = await third;
  expect(last).not.toBe(broken);
  pool.giveBack(last, { clean: true });
});

it("tells of a link that is lost while nobody has it, and doesn't lend it", async () => {
  const { pool, lost } = createPool();
  const link = await pool.take();
  pool.giveBack(link, { clean: true });
  for (const socket of server.sockets) socket.destroy();
  await expect.poll(() => lost).toHaveLength(1);
  const next = await pool.take();
  expect(next).not.toBe(link);
  pool.giveBack(next, { clean: true });
});

it("has room again for a link that didn't come about, also for whoever waits for it", async () => {
  const { pool } = createPool();
  server.refusing = true;
  const [first, second] = [pool.take(), pool.take()];
  await expect(first).rejects.toThrow();
  await expect(second).rejects.toThrow();
  server.refusing = false;
  pool.giveBack(await pool.take(), { clean: true });
});

it("closes what is idle for long", async () => {
  const { pool } = createPool({ size: 2, maxIdleMs: 40 });
  const link = await pool.take();
  const used = await pool.take();
  pool.giveBack(link, { clean: true });
  await expect.poll(() => server.sockets).toHaveLength(1);
  const next = await pool.take();
  expect(next).not.toBe(link);
  pool.giveBack(next, { clean: true });
  pool.giveBack(used, { clean: true });
});

it("doesn't lend an old link again", async () => {
  const { pool } = createPool({ maxAgeMs: 0 });
  const link = await pool.take();
  pool.giveBack(link, { clean: true });
  const next = await pool.take();
  expect(next).not.toBe(link);
  pool.giveBack(next, { clean: true });
});

it("is closed when all are given back; until then nobody else gets one", async () => {
  const { pool } = createPool();
  const link = await pool.take();
  const waiting = expect(pool.take()).rejects.toMatchObject({ reason: "DATABASE_UNAVAILABLE" });
  let isClosed = false;
  const closing = pool.close().then(() => (isClosed = true));
  await waiting;
  await expect(pool.take()).rejects.toMatchObject({ reason: "DATABASE_UNAVAILABLE" });
  expect(isClosed).toBe(false);
  pool.giveBack(link, { clean: true });
  await closing;
});
