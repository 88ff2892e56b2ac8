import { readFile } from "node:fs/promises";
import { createLogger } from "@tandem/rpc";
import { createTestDatabase, runSql, type TestDatabase, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bootstrapCluster } from "../bootstrap.ts";
import { createDatabase, type Database } from "../create-database.ts";
import { migrate } from "../migrate.ts";
import { mirrorOrders, takeOrders } from "../testing/orders-mirror.ts";
import { mirrorMigrationsFolder } from "./migrations-folder.ts";
import { createDatabaseSide } from "./mirror-side.ts";
import { verifyMirror } from "./verify-mirror.ts";

const parts = new AsyncDisposableStack();
let shop: Side;
let warehouse: Side;
beforeAll(async () => {
  shop = await createSide("shop");
  warehouse = await createSide("warehouse");
});
afterAll(() => parts.disposeAsync());

interface Side {
  readonly database: Database;
  readonly target: TestDatabase;
}

const read = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), "utf8");

/** A database with what the README's SQL makes of it. */
async function createSide(name: "shop" | "warehouse"): Promise<Side> {
  const target = await createTestDatabase();
  const roles = { owner: `${name}_owner`, app: `${name}_app`, mirror: `${name}_mirror` };
  parts.defer(async () => {
    await target.drop();
    await runSql(target.adminUrl, `DROP ROLE ${Object.values(roles).join(", ")}`);
  });
  await bootstrapCluster({
    adminUrl: target.adminUrl,
    databases: [{ name: target.name, roles }],
    passwords: { [roles.owner]: "secret", [roles.app]: "secret" },
  });
  const ownerUrl = target.urlFor({ name: roles.owner, password: "secret" });
  await migrate({ url: ownerUrl, folders: [mirrorMigrationsFolder()] });
  const sql = (await read("../testing/orders-mirror.sql"))
    .replace("('shop', 'shop')", `('${name}', 'shop')`)
    .replaceAll("shop_app", `${name}_app`);
  await runSql(ownerUrl, sql);
  const url = target.urlFor({ name: roles.app, password: "secret" });
  const database = createDatabase({ url, applicationName: `test-${name}` });
  parts.defer(() => database.close());
  return { database, target };
}

it("the README's example of a third service brings its rows, and is what the README says", async () => {
  const readme = await read("../../README.md");
  expect(readme).toContain(`\`\`\`sql\n${await read("../testing/orders-mirror.sql")}\`\`\``);
  expect(readme).toContain(`\`\`\`ts\n${await read("../testing/orders-mirror.ts")}\`\`\``);

  const send = (items: Parameters<typeof takeOrders>[1]) => takeOrders(warehouse.database, items);
  const logger = createLogger({ service: "test", level: "fatal" });
  await using relay = mirrorOrders({ shop: shop.database, send, logger });
  const { sql } = shop.database;
  await sql`INSERT INTO orders (id, customer) VALUES (gen_random_uuid(), 'Ada'), (gen_random_uuid(), 'Bob')`;
  await sql`INSERT INTO order_lines (id, order_id, article) SELECT gen_random_uuid(), id, 'pen' FROM orders`;
  await sql`DELETE FROM orders WHERE customer = 'Bob'`;
  relay.wake();

  const sides = [
    createDatabaseSide("shop", shop.database),
    createDatabaseSide("warehouse", warehouse.database),
  ] as const;
  const [decides, mirror] = sides;
  await waitFor(async () => (await decides.backlog()).pending === 0, {
    describe: "the orders to be brought",
  });
  expect(
    await warehouse.database
      .sql`SELECT customer, article FROM orders o JOIN order_lines l ON l.order_id = o.id`,
  ).toEqual([{ customer: "Ada", article: "pen" }]);
  const findings = verifyMirror({
    decides,
    mirror,
    aggregates: ["order"],
    repair: "none",
    settleMs: 0,
    signal: AbortSignal.timeout(10_000),
  });
  expect(await findings.next()).toEqual({ done: true, value: 1 });
  await expect(warehouse.database.sql`DELETE FROM orders`).rejects.toMatchObject({ code: "TD001" });
});
