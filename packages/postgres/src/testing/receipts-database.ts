import { createTestDatabase, runSql, type TestDatabase } from "@tandem/testkit";
import { bootstrapDatabase } from "../bootstrap.ts";
import { migrate } from "../migrate.ts";
import { receiptsMigrationsFolder } from "../receipts/migrations-folder.ts";

/** A role of a test file's own. */
interface TestRole {
  readonly name: string;
  readonly password: string;
}

/** The roles that own and use databases with receipts in one test file. */
export interface ReceiptsRoles {
  readonly owner: TestRole;
  readonly app: TestRole;
}

/** Creates roles whose names begin with `prefix`; whoever creates them drops them. */
export async function createReceiptsRoles(prefix: string): Promise<ReceiptsRoles> {
  const roles = { owner: roleOf(`${prefix}_owner`), app: roleOf(`${prefix}_app`) };
  const anchor = await createTestDatabase();
  for (const { name, password } of Object.values(roles)) {
    await runSql(anchor.adminUrl, `CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
  }
  await anchor.drop();
  return roles;
}

/** A database with the receipts' tables, which the app may use, and no room in them yet. */
export async function createReceiptsDatabase({ owner, app }: ReceiptsRoles): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const plan = { name: database.name, roles: { owner: owner.name, app: app.name } };
  await bootstrapDatabase({ adminUrl: database.adminUrl, database: plan });
  await migrate({ url: database.urlFor(owner), folders: [receiptsMigrationsFolder()] });
  await runSql(
    database.urlFor(owner),
    `GRANT SELECT, INSERT ON tandem.receipts TO ${app.name};
     GRANT EXECUTE ON FUNCTION tandem.keep_receipts(interval) TO ${app.name}`,
  );
  return database;
}

function roleOf(name: string): TestRole {
  return { name, password: `${name}-test` };
}
