import { createTimeSlices } from "@tandem/rpc";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  createFakePostgres,
  type FakePostgres,
  postgresMessage as message,
} from "../testing/fake-postgres.ts";
import { Link } from "./link.ts";
import { OwnStatements } from "./own-statements.ts";
import { PreparedStatements } from "./prepared-statements.ts";
import { type Outgoing, Round } from "./round.ts";

const statement: Outgoing = {
  text: "SELECT 1",
  own: false,
  name: "one",
  parse: false,
  describe: false,
  execute: { values: [] },
  running: undefined,
};
const fatal = message("E", "SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0");
const notice = message("N", "SNOTICE\0C00000\0Mhush\0\0");
const error = message("E", "SERROR\0VERROR\0C22012\0Mdivision by zero\0\0");
const row = message("D", Buffer.from([0, 2, 255, 255, 255, 255, 0, 0, 0, 1, 0x37]));

let server: FakePostgres;
let link: Link;
beforeEach(async () => {
  server = await createFakePostgres();
  link = await openLink();
});
afterEach(async () => {
  await link.close();
  await server[Symbol.asyncDispose]();
});

const openLink = (): Promise<Link> => {
  const prepared = new PreparedStatements(new OwnStatements());
  return Link.open({ config: server.config, maxMessageBytes: 1_024, prepared });
};
const begin = (on = link): Round => {
  const slices = createTimeSlices();
  const round = new Round([statement], { maxBytes: 1_024, slices, closing: [], tail: undefined });
  on.run(round);
  return round;
};
const say = (...messages: readonly Buffer[]): void => void server.sockets[0]?.write(Buffer.concat(messages));
const isOver = (round: Round): Promise<boolean> =>
  Promise.race([
    round.outcome.then(() => true),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 50)),
  ]);

it("gives what was answered, whatever else is said meanwhile", async () => {
  const round = begin();
  say(
    notice,
    message("2"),
    message("S", "TimeZone\0UTC\0"),
    row,
    message("C", "SELECT 1\0"),
    message("Z", "I"),
  );
  expect(await round.outcome).toMatchObject({
    failure: undefined,
    answers: [{ rows: [[null, "7"]], tag: "SELECT 1" }],
  });
});

it("goes on where a message begins in the very packet in which PostgreSQL is ready first, and ends in another", async () => {
  server.behindReady = notice.subarray(0, 9);
  const second = await openLink();
  const round = begin(second);
  server.sockets[1]?.write(
    Buffer.concat([notice.subarray(9), message("2"), row, message("C", "SELECT 1\0"), message("Z", "I")]),
  );
  expect(await isOver(round)).toBe(true);
  expect(await round.outcome).toMatchObject({ failure: undefined, answers: [{ tag: "SELECT 1" }] });
  await second.close();
});

it("knows by PostgreSQL's own word whether a transaction is open", async () => {
  for (const [status, open] of [
    ["T", true],
    ["E", true],
    ["I", false],
  ] as const) {
    const round = begin();
    say(message("2"), message("C", "SELECT 0\0"), message("Z", status));
    await round.outcome;
    expect(link.isInTransaction).toBe(open);
  }
});

it("isn't through with what failed until PostgreSQL is ready again", async () => {
  const round = begin();
  say(error);
  expect(await isOver(round)).toBe(false);
  say(message("Z", "I"));
  expect((await round.outcome).failure).toMatchObject({ at: 0, error: { code: "22012" } });
  expect(link.lost).toBeUndefined();
});

it.each([
  ["from here", "G"],
  ["to here", "H"],
])("is lost where PostgreSQL is about to copy %s, and what ran on it ends", async (_, type) => {
  const round = begin();
  // The Sync at a flush's end is a part of what would be copied: PostgreSQL isn't ready again.
  say(message("2"), message(type, Buffer.alloc(3)), ...(type === "H" ? [message("d", "1\n")] : []));
  expect(await isOver(round)).toBe(true);
  expect((await round.outcome).failure).toMatchObject({ at: 0, error: link.lost });
});

it("tells what ran on it of its loss, and what is run later that nothing was sent", async () => {
  const round = begin();
  server.sockets[0]?.destroy();
  expect((await round.outcome).failure).toMatchObject({ at: 0, error: link.lost });
  expect((await begin().outcome).failure?.error).toMatchObject({ code: "CONNECTION_ENDED" });
});

it("keeps the first word on what has ended what ran", async () => {
  const round = begin();
  say(fatal);
  server.sockets[0]?.end();
  expect((await round.outcome).failure).toMatchObject({ error: { code: "57P01" } });
});

it("hears why it is ended while nobody has it", async () => {
  const lost: Error[] = [];
  link.onLost = (reason) => lost.push(reason);
  say(fatal);
  await expect.poll(() => lost).toHaveLength(1);
  expect(link.lost).toMatchObject({ severity: "FATAL", code: "57P01" });
});

it("ends where a message is longer than any that is wanted, before it has come", async () => {
  const round = begin();
  say(message("D", Buffer.alloc(2_000)).subarray(0, 100));
  expect((await round.outcome).failure?.error).toMatchObject({ name: "RoundTooLargeError" });
});
