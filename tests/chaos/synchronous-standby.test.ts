import { createDbProxy, newRequestId, sql } from "@tandem/dbproxy";
import { expect, it } from "vitest";
import { createRig } from "./rig.ts";

const WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

it("acknowledges nothing, at once or by its receipt, that a synchronous standby doesn't have", async () => {
  await using rig = await createRig();
  await rig.define("CREATE TABLE effects (request uuid NOT NULL)");
  const db = createDbProxy({ address: rig.address, retryLimits: { maxRetries: 0 } });
  const setStandby = async (name: string): Promise<void> => {
    await rig.sql(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
    await rig.sql("SELECT pg_reload_conf()");
  };
  const requestId = newRequestId();
  const write = [sql`INSERT INTO effects VALUES (${requestId})`];
  await setStandby("away");
  await expect
    .poll(() => rig.sql("SHOW synchronous_standby_names"))
    .toEqual([{ synchronous_standby_names: "away" }]);

  // The caller's time ends, and that of its resend, while the first copy's COMMIT waits for the standby.
  for (let send = 0; send < 2; send += 1) {
    const failure = await db
      .transaction(write, { requestId, timeoutMs: 700 })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(await rig.sql("SELECT 1 FROM effects")).toEqual([]);
  }
  expect((await rig.sql(WAITING)).length).toBeGreaterThan(0);
  await expect(db.receipt(requestId, { timeoutMs: 700 })).resolves.toEqual({ state: "not found" });
  await expect(db.receipt(requestId, { fence: true, timeoutMs: 700 })).rejects.toBeInstanceOf(Error);

  await setStandby("");
  await expect.poll(() => rig.sql(WAITING)).toEqual([]);
  expect(await db.receipt(requestId, { fence: true, timeoutMs: 5_000 })).toMatchObject({
    state: "committed",
  });
  expect(await rig.sql("SELECT 1 FROM effects")).toHaveLength(1);
  db.close();
}, 40_000);
