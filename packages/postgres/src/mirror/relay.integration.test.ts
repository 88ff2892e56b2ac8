import { createLogger, HandlerError, TransportError, StatusCode } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import { createOutbox, type MirrorItem, type Outbox } from "./outbox.ts";
import { type MirroredAggregate, type Relay, startRelay } from "./relay.ts";
import type { RelayLimits } from "./relay-limits.ts";

let pair: MirroredPair;
let outbox: Outbox;
let log: Record<string, unknown>[];
let relays: AsyncDisposableStack;
beforeAll(async () => {
  pair = await createMirroredPair("relay_test");
  outbox = createOutbox(pair.east.database);
});
beforeEach(async () => {
  log = [];
  relays = new AsyncDisposableStack();
  for (const side of [pair.east, pair.west]) await side.clear();
});
afterEach(() => relays.disposeAsync());
afterAll(() => pair[Symbol.asyncDispose]());

const idOf = (number: number): string => `01990000-0000-7000-8000-${String(number).padStart(12, "0")}`;

const write = (text: string): Promise<unknown> => runSql(pair.east.url, text);

async function contents(side: "east" | "west"): Promise<unknown> {
  return runSql(
    pair[side].url,
    `SELECT to_jsonb(n) AS row FROM notes n UNION ALL SELECT to_jsonb(l) FROM note_lines l UNION ALL SELECT to_jsonb(t) FROM tags t
     ORDER BY 1`,
  );
}

/** Applies it to the other database, as the handler of a service does. */
async function apply(aggregate: string, { id, version, state }: MirrorItem): Promise<Error | undefined> {
  try {
    const text = `SELECT outcome FROM mirror.apply_${aggregate}($1, $2, $3)`;
    await pair.west.database.run({ text, values: [id, String(version), state ?? null] });
    return undefined;
  } catch (error) {
    return translateDatabaseError(error);
  }
}

type Deliver = MirroredAggregate["deliver"];

const applying =
  (aggregate: string): Deliver =>
  (items) =>
    Promise.all(items.map((item) => apply(aggregate, item)));

/** A relay between the two, until the test ends; what is given takes the place of how notes are delivered. */
function startTestRelay(deliver: Deliver = applying("note"), limits: Partial<RelayLimits> = {}): Relay {
  const destination = { write: (line: string) => void log.push(JSON.parse(line)) };
  const logger = createLogger({ service: "test", level: "info", destination });
  const tags: MirroredAggregate = {
    name: "tag",
    deliver: applying("tag"),
    refersTo: ({ state = "null" }) => {
      const { note_id: id } = JSON.parse(state) as { note_id?: string };
      return id === undefined ? undefined : { aggregate: "note", id };
    },
  };
  const aggregates = [{ name: "note", deliver }, tags];
  const running = { outbox, aggregates, logger, limits: { pollIntervalMs: 20, minRetryMs: 5, ...limits } };
  return relays.use(startRelay(running));
}

async function mirrored(): Promise<void> {
  await waitFor(async () => (await outbox.backlog()).pending === 0, { describe: "an empty outbox" });
  expect(await contents("west")).toEqual(await contents("east"));
}

it("brings what was written, changed and deleted, and what refers to something after that", async () => {
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one'), ('${idOf(2)}', 'two')`);
  await write(`INSERT INTO tags (id, note_id, name) VALUES ('${idOf(3)}', '${idOf(1)}', 't')`);
  startTestRelay();
  await mirrored();
  await write(
    `UPDATE notes SET title = 'other' WHERE id = '${idOf(1)}'; DELETE FROM notes WHERE id = '${idOf(2)}'`,
  );
  await mirrored();
  await write("DELETE FROM notes");
  await mirrored();
  expect(await contents("west")).toEqual([]);
  expect(log).toEqual([]);
});

it("begins at once when it is woken", async () => {
  const relay = startTestRelay(applying("note"), { pollIntervalMs: 60_000 });
  await waitFor(async () => (await outbox.backlog()).pending === 0, { describe: "its first look" });
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  relay.wake();
  await mirrored();
});

it("waits where the other side can't be reached, says so once, and loses nothing", async () => {
  let tries = 0;
  let down = true;
  const details = "no connection";
  startTestRelay(async (items, signal) => {
    tries += 1;
    if (down)
      throw new TransportError({
        code: StatusCode.UNAVAILABLE,
        sent: "no",
        method: "",
        address: "",
        details,
      });
    return applying("note")(items, signal);
  });
  await write(
    `INSERT INTO notes (id, title) SELECT gen_random_uuid(), 'n' || i FROM generate_series(1, 20) i`,
  );
  await waitFor(() => tries > 3, { describe: "tries" });
  expect(await contents("west")).toEqual([]);
  down = false;
  await mirrored();
  expect(log.map(({ msg }) => msg)).toEqual([
    "the mirror can't be brought up to date: it is tried again",
    "the mirror is reached again",
  ]);
});

it("parks what is refused for good, says which, and goes on with the rest", async () => {
  const poison = idOf(7);
  const message = "Not this one.";
  startTestRelay(async (items) =>
    Promise.all(
      items.map(async (item) => {
        if (item.id === poison && item.state?.includes("bad") === true) {
          return new HandlerError({ reason: "CHECK_VIOLATION", message });
        }
        return apply("note", item);
      }),
    ),
  );
  await write(`INSERT INTO notes (id, title) VALUES ('${poison}', 'bad'), ('${idOf(8)}', 'good')`);
  await waitFor(async () => (await outbox.backlog()).parked === 1, { describe: "it to be parked" });
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(9)}', 'later')`);
  await waitFor(async () => ((await contents("west")) as unknown[]).length === 2, { describe: "the rest" });
  expect(log).toMatchObject([{ level: "error", aggregate: "note", id: poison }]);
  // What has changed is tried at once.
  await write(`UPDATE notes SET title = 'good again' WHERE id = '${poison}'`);
  await mirrored();
  expect(await outbox.backlog()).toEqual({ pending: 0, parked: 0, oldestAgeMs: 0 });
});

it("keeps what it can't find here, and says which that is", async () => {
  const lost = idOf(9);
  await runSql(
    pair.east.ownerUrl,
    `INSERT INTO tandem.outbox (aggregate, id, version) VALUES ('note', '${lost}', 3)`,
  );
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  startTestRelay();
  await mirrored();
  expect(await outbox.backlog()).toMatchObject({ pending: 0, parked: 1 });
  const parked = log.filter(({ msg }) => msg === "the mirror refuses this: it is parked");
  expect(parked).toMatchObject([{ aggregate: "note", id: lost, version: 3 }]);
});

it("takes nothing for delivered of which it was not told", async () => {
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one'), ('${idOf(2)}', 'two')`);
  const deliver = applying("note");
  let told = 0;
  startTestRelay(async (items, signal) => {
    told += 1;
    return told === 1 ? [undefined] : deliver(items, signal);
  });
  await mirrored();
  expect(told).toBeGreaterThan(1);
  expect(log).toContainEqual(expect.objectContaining({ level: "warn" }));
});

it("tries again what refers to something that is still to come, and parks what refers to nothing", async () => {
  const held = Promise.withResolvers<void>();
  startTestRelay(async (items, signal) => {
    await held.promise;
    return applying("note")(items, signal);
  });
  startRelayOfTags();
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  await write(`INSERT INTO tags (id, note_id, name) VALUES ('${idOf(3)}', '${idOf(1)}', 't')`);
  await waitFor(
    async () => {
      const [row] = await runSql(pair.east.url, "SELECT attempts FROM tandem.outbox WHERE aggregate = 'tag'");
      return Number(row?.["attempts"]) > 2;
    },
    { describe: "it to be tried again" },
  );
  expect((await outbox.backlog()).parked).toBe(0);
  held.resolve();
  await mirrored();
  await runSql(pair.west.ownerUrl, "SET ROLE relay_test_west_mirror; DELETE FROM tags; DELETE FROM notes");
  await write("UPDATE tags SET name = 'orphan'");
  await waitFor(async () => (await outbox.backlog()).parked === 1, { describe: "it to be parked" });
});

/** What another relay does meanwhile with the aggregates behind the first. */
function startRelayOfTags(): void {
  const logger = createLogger({ service: "test", level: "fatal" });
  const refersTo: MirroredAggregate["refersTo"] = ({ state = "null" }) => {
    const { note_id: id } = JSON.parse(state) as { note_id?: string };
    return id === undefined ? undefined : { aggregate: "note", id };
  };
  const aggregates = [{ name: "tag", deliver: applying("tag"), refersTo }];
  relays.use(startRelay({ outbox, aggregates, logger, limits: { pollIntervalMs: 20, minRetryMs: 5 } }));
}

it("leaves to others what one that hangs has taken, when its lease is over", async () => {
  const taken = Promise.withResolvers<void>();
  startTestRelay(
    (_items, signal) => {
      taken.resolve();
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(new Error("stopped")), { once: true }),
      );
    },
    { leaseMs: 50 },
  );
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  await taken.promise;
  startTestRelay();
  await mirrored();
});

it("converges, with two relays at once, while rows are written, moved and deleted all the time", async () => {
  startTestRelay(applying("note"), { batchSize: 3 });
  startTestRelay(applying("note"), { batchSize: 5 });
  const pick = (from: number): string => idOf(from + Math.floor(Math.random() * 6));
  const writers = Array.from({ length: 4 }, async () => {
    for (let count = 0; count < 60; count += 1) {
      const statements = [
        `INSERT INTO notes (id, title) VALUES ('${pick(0)}', 't${count}') ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title`,
        `INSERT INTO note_lines AS l (id, note_id, place) VALUES ('${pick(10)}', '${pick(0)}', 'p${Math.floor(Math.random() * 4)}')
         ON CONFLICT (place) DO UPDATE SET note_id = EXCLUDED.note_id`,
        `INSERT INTO tags (id, note_id, name) VALUES ('${pick(20)}', '${pick(0)}', 'g') ON CONFLICT (id) DO UPDATE SET name = 'h'`,
        `DELETE FROM note_lines WHERE id = '${pick(10)}'`,
        `DELETE FROM notes WHERE id = '${pick(0)}'`,
      ];
      const text = statements[Math.floor(Math.random() * statements.length)] ?? "";
      // What a constraint or a deadlock refuses is another way of not having written.
      await write(text).catch((error: unknown) =>
        expect(["23503", "23505", "40P01"]).toContain((error as { code?: string }).code),
      );
    }
  });
  await Promise.all(writers);
  await mirrored();
});

it("brings what it had parked as soon as what that refers to is there", async () => {
  startTestRelay();
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  await mirrored();
  await runSql(pair.west.ownerUrl, "SET ROLE relay_test_west_mirror; DELETE FROM notes");
  await write(`INSERT INTO tags (id, note_id, name) VALUES ('${idOf(3)}', '${idOf(1)}', 't')`);
  await waitFor(() => log.length === 1, { describe: "it to be parked" });
  expect(log).toMatchObject([{ level: "error", aggregate: "tag", id: idOf(3) }]);
  await write(`UPDATE notes SET title = 'here again' WHERE id = '${idOf(1)}'`);
  await mirrored();
  expect((await outbox.backlog()).parked).toBe(0);
});

it("parks nothing where the other side lets it in no more, and says what it does not take", async () => {
  let closed = true;
  startTestRelay(async (items, signal) => {
    const failure = new HandlerError({ reason: "METHOD_NOT_ALLOWED", message: "You may not." });
    return closed ? items.map(() => failure) : applying("note")(items, signal);
  });
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  await waitFor(
    async () =>
      Number((await runSql(pair.east.url, "SELECT attempts FROM tandem.outbox"))[0]?.["attempts"]) > 2,
    { describe: "it to be tried again" },
  );
  expect(await outbox.backlog()).toMatchObject({ pending: 1, parked: 0 });
  closed = false;
  await mirrored();
});

it("has two batches of a backlog under way at once, and one of what is written now and then", async () => {
  const underWay: number[] = [];
  let now = 0;
  const deliver: Deliver = async (items, signal) => {
    now += 1;
    underWay.push(now);
    const results = await applying("note")(items, signal);
    now -= 1;
    return results;
  };
  await write(`INSERT INTO notes (id, title) SELECT gen_random_uuid(), 'n' FROM generate_series(1, 40)`);
  startTestRelay(deliver, { batchSize: 5 });
  await mirrored();
  expect(Math.max(...underWay)).toBe(2);
  underWay.length = 0;
  for (const number of [1, 2, 3]) {
    await write(`INSERT INTO notes (id, title) VALUES ('${idOf(number)}', 'n')`);
    await mirrored();
  }
  expect(underWay).toEqual([1, 1, 1]);
});

it("brings together what is written shortly after something was brought", async () => {
  const sizes: number[] = [];
  const deliver: Deliver = (items, signal) => {
    sizes.push(items.length);
    return applying("note")(items, signal);
  };
  const relay = startTestRelay(deliver, { gatherMs: 2_000 });
  for (const number of [1, 2, 3, 4]) {
    await write(`INSERT INTO notes (id, title) VALUES ('${idOf(number)}', 'n')`);
    relay.wake();
    if (number === 1) await mirrored();
  }
  await mirrored();
  expect(sizes).toEqual([1, 3]);
});

it("brings a backlog at once that comes after a long time without any", async () => {
  const notes = createOutbox(pair.east.database);
  // As often as it takes for PostgreSQL to settle on a plan.
  for (let at = 0; at < 10; at += 1) {
    expect(await notes.take("note", { limit: 500, leaseMs: 1 })).toEqual([]);
    await notes.postpone("note", [], 0);
    await notes.delivered("note", []);
  }
  const insert =
    "INSERT INTO tandem.outbox (aggregate, id, version) SELECT 'note', gen_random_uuid(), 1 FROM generate_series(1, 2000)";
  for (let at = 0; at < 10; at += 1) await runSql(pair.east.ownerUrl, insert);
  const taken = await notes.take("note", { limit: 500, leaseMs: 60_000 });
  const began = performance.now();
  await notes.postpone("note", taken, 60_000);
  await notes.delivered("note", taken);
  expect((await notes.backlog()).pending).toBe(19_500);
  // With a plan for none it takes as long as a statement may.
  expect(performance.now() - began).toBeLessThan(3_000);
});

it("brings what refers to others while there are always some of those", async () => {
  let writing = true;
  let version = 0;
  startTestRelay(async (items, signal) => {
    const results = await applying("note")(items, signal);
    version += 1;
    if (writing) await write(`UPDATE notes SET title = 'v${version}' WHERE id = '${idOf(1)}'`);
    return results;
  });
  await write(`INSERT INTO notes (id, title) VALUES ('${idOf(1)}', 'one')`);
  await waitFor(() => version > 3, { describe: "changes that never end" });
  await write(`INSERT INTO tags (id, note_id, name) VALUES ('${idOf(3)}', '${idOf(1)}', 't')`);
  await waitFor(async () => (await runSql(pair.west.url, "SELECT FROM tags")).length === 1, {
    describe: "the tag to be brought",
  });
  writing = false;
  await mirrored();
});
