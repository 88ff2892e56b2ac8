import { randomUUID } from "node:crypto";
import { Authority } from "@tandem/contract/tandem/gateway/v1/cutover";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createCutoverRig, type CutoverRig, type Side } from "./cutover-rig.ts";

let rig: CutoverRig;
beforeAll(async () => {
  rig = await createCutoverRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Makes a side's word on who decides what it was before the last move, when it decided itself. */
const restore = (side: Side) =>
  runSql(rig.pair[side].url, `UPDATE tandem.authority SET authority = '${side}', epoch = epoch - 1`);

const write = (side: Side) =>
  runSql(
    rig.pair[side].url,
    `INSERT INTO contacts (id, display_name) VALUES ('${randomUUID()}', 'written by itself')`,
  );

const wordOf = async (side: Side): Promise<unknown> =>
  (await runSql(rig.pair[side].url, "SELECT authority, phase, epoch::text FROM tandem.authority"))[0];

it.each([
  ["assistant", "gateway"],
  ["gateway", "assistant"],
] as const)(
  "a gateway that starts tells the %s's database, restored as before a move, who decides",
  async (side, other) => {
    await rig.letDecide(side);
    await rig.letDecide(other);
    await restore(side);
    await rig.startGateway();
    expect(await wordOf(side)).toEqual(await wordOf(other));
    await expect(write(side)).rejects.toMatchObject({ code: "TD001" });
  },
);

it("says what a side wrote while it thought that it decided, which nobody brings any more", async () => {
  await rig.letDecide("assistant");
  await rig.letDecide("gateway");
  await restore("assistant");
  await write("assistant");
  const { epoch } = await rig.cutover.getAuthority({});
  await rig.cutover.setAuthority({ authority: Authority.GATEWAY, expectedEpoch: epoch });
  expect(await rig.cutover.getAuthority({})).toMatchObject({
    authority: Authority.GATEWAY,
    backlog: { pending: 0n, parked: 0n },
    leftBehind: { pending: 1n, parked: 0n },
  });
});
