import { expect, it } from "vitest";
import { createRig } from "./rig.ts";

it("starts although its link to PostgreSQL breaks while it makes room for receipts", async () => {
  await using rig = await createRig();
  const cut = rig.databaseLink.when({ direction: "toServer", contains: "keep_receipts" }, (connection) =>
    connection.cut(),
  );
  // Resolves when the next one serves, and fails where it has ended by itself.
  await rig.killAssistant();
  await cut.fired;
  await rig.stopAssistant();
  expect(rig.log().filter((line) => line.includes('"msg":"serving"'))).toHaveLength(2);
});
