import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { expect, test } from "vitest";
import { migrationsFolder } from "./migrations-folder.ts";
import * as schema from "./schema.ts";

test("the committed migrations lead to the schema that the code is written for", async () => {
  const folder = join(migrationsFolder(), "meta");
  const snapshots = (await readdir(folder)).filter((name) => name.endsWith("_snapshot.json")).toSorted();
  const newest = JSON.parse(await readFile(join(folder, snapshots.at(-1) ?? ""), "utf8"));
  const missing = await generateMigration(newest, generateDrizzleJson({ ...schema }));
  expect(missing, "Generate a migration: drizzle-kit generate --name what_changes").toEqual([]);
});
