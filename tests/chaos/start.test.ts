import { expect, it } from "vitest";
import { createRig } from "./rig.ts";

it.each([
  ["makes room for receipts", "keep_receipts"],
  ["looks at the rights of DbProxy's role", "pg_auth_members"],
  ["reads the catalogue for the policy", "proargtypes"],
  ["holds the registered statements against the tables", "GENERIC_PLAN"],
])("starts although its link to PostgreSQL breaks while it %s", async (_, contains) => {
  await using rig = await createRig();
  const cut = rig.databaseLink.when({ direction: "toServer", contains }, (connection) => connection.cut());
  // Resolves when the next one serves, and fails where it has ended by itself.
  await rig.killAssistant();
  await cut.fired;
  await rig.stopAssistant();
  expect(rig.log().filter((line) => line.includes('"msg":"serving"'))).toHaveLength(2);
});
