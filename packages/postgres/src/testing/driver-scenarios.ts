import { setTimeout as delay } from "node:timers/promises";
import { recogniseError } from "../foreign-error.ts";
import { openPostgres, openSubject, type Run, type Subject, type SubjectName } from "./driver-subjects.ts";

/** What came of a part of a scenario: "ok" and perhaps its value, "hung", "lost", or what another error says of itself. */
export type End = string;
export type Report = Readonly<Record<string, unknown>>;

interface Stage {
  readonly subject: Subject;
  /** One that has no connection yet, and doesn't ask for types. */
  readonly fresh: Subject;
  /** On a connection that has nothing to do with the subject. */
  readonly admin: Run;
  readonly endOf: (work: Promise<unknown>) => Promise<End>;
  /** Terminates a backend, and resolves when the subject has had the time to notice. */
  readonly terminate: (pid: unknown) => Promise<void>;
}

/** What is wrong with the pool of `postgres` 3.4.9, each with upstream's issue where there is one. */
export const scenarios = {
  "#1133 #1154 #1208 a backend that is terminated between two statements of a transaction": async (stage) => {
    const { subject, endOf } = stage;
    const statement = Promise.withResolvers<End>();
    const transaction = subject.transaction(async (run) => {
      await stage.terminate(await pidBy(run));
      statement.resolve(endOf(run("SELECT 1")));
      await statement.promise;
    });
    return {
      transaction: await endOf(transaction),
      statement: await statement.promise,
      next: await endOf(subject.run("SELECT 1")),
    };
  },

  "#1155 a lost transaction goes on while a statement waits": (stage) =>
    goOnAfterLoss(stage, (body) => stage.subject.transaction(body)),

  "#1155 a lost reservation goes on while a statement waits": (stage) =>
    goOnAfterLoss(stage, (body) => stage.subject.reserve(body)),

  "#1216 a lost transaction goes on while another one runs": async ({ subject, admin, endOf, terminate }) => {
    const begun = Promise.withResolvers<void>();
    const meddled = Promise.withResolvers<void>();
    const transaction = subject.transaction(async (run) => {
      const pid = await pidBy(run);
      const other = subject.transaction(async (runOther) => {
        await runOther("INSERT INTO rows_seen VALUES (1)");
        begun.resolve();
        await meddled.promise;
        throw new Error("rolled back");
      });
      void endOf(other).then(() => begun.resolve());
      await terminate(pid);
      await begun.promise;
      await endOf(run("INSERT INTO rows_seen VALUES (2)"));
      await endOf(run("COMMIT"));
      meddled.resolve();
    });
    const end = await endOf(transaction);
    await meddled.promise;
    return { transaction: end, rows: await admin("SELECT id FROM rows_seen ORDER BY id") };
  },

  "#1186 statements that wait in a transaction when its backend is terminated": async (stage) => {
    const { subject, endOf } = stage;
    const ends: Promise<End>[] = [];
    const transaction = subject.transaction(async (run) => {
      const pid = await pidBy(run);
      for (let i = 0; i < 3; i++) ends.push(endOf(run("SELECT pg_sleep($1::int)", [5])));
      await stage.terminate(pid);
      await new Promise(() => undefined);
    });
    return { transaction: await endOf(transaction), statements: await Promise.all(ends) };
  },

  "#1215 the statement after one whose backend was terminated": async ({ subject, endOf, terminate }) => {
    const pid = await pidBy(subject.run);
    const first = endOf(subject.run("SELECT pg_sleep(5)"));
    await terminate(pid);
    return { first: await first, second: await endOf(subject.run("SELECT 1")) };
  },

  "#1217 a transaction that PostgreSQL rolled back": async ({ subject, admin, endOf }) => {
    const transaction = subject.transaction(async (run, savepoint) => {
      await run("INSERT INTO rows_seen VALUES (1)");
      // Its name in `postgres`: once it is released, to roll back to it fails.
      const broken = savepoint(async (inner) => {
        await inner("RELEASE SAVEPOINT s0_named");
        throw new Error("rolled back");
      });
      await endOf(broken);
    });
    return { transaction: await endOf(transaction), rows: await admin("SELECT id FROM rows_seen") };
  },

  "#1212 a COMMIT whose prepared statement is gone, as it is behind a pooler": async ({
    subject,
    admin,
    endOf,
  }) => {
    await subject.transaction(async (run) => void (await run("SELECT 1")));
    const transaction = subject.transaction(async (run) => {
      await run("INSERT INTO rows_seen VALUES (1)");
      await run("DEALLOCATE ALL");
    });
    return { transaction: await endOf(transaction), rows: await admin("SELECT id FROM rows_seen") };
  },

  "#1189 #1218 a BEGIN that fills the pipeline": async ({ subject, admin, endOf }) => {
    await subject.run("SELECT 1");
    const before = Array.from({ length: 100 }, () => endOf(subject.run("SELECT 1")));
    // `postgres` ends the process when a body ends that it has no connection for: by then, all is told.
    const transaction = await endOf(subject.transaction(() => delay(500)));
    await Promise.all(before);
    const insert = await endOf(subject.run("INSERT INTO rows_seen VALUES (1)"));
    return { transaction, insert, rows: await admin("SELECT id FROM rows_seen") };
  },

  "#751 #1219 a connection that is lent before any type is known": async ({ fresh, endOf }) => ({
    reserved: await endOf(fresh.reserve(() => Promise.resolve())),
  }),

  "#1119 #1181 the statement after one that failed behind its first rows": async ({ subject, endOf }) => ({
    failed: await endOf(subject.run("SELECT 1 / (3 - i) FROM generate_series(1, 5) i")),
    rows: await subject.run("SELECT 1 AS one"),
  }),

  "a text of two statements": async ({ subject, endOf }) => ({
    text: await endOf(subject.run("SELECT 1; SELECT 2")),
  }),

  "a value that can't be sent, between two statements that can": async ({ subject, endOf }) => {
    const echo = async (value: unknown): Promise<unknown> => {
      const [row] = await subject.run("SELECT $1::text AS value", [value]);
      return row?.["value"];
    };
    await echo("prepared");
    return { ends: await Promise.all(["one", undefined, "three"].map((value) => endOf(echo(value)))) };
  },

  "a connection that is reset while the driver asks for types": async ({ subject, endOf }) => {
    const statement = await endOf(subject.run("SELECT 1"));
    // What nobody catches ends the process after that.
    await delay(20);
    return { statement, next: await endOf(subject.run("SELECT 1")) };
  },
} satisfies Readonly<Record<string, (stage: Stage) => Promise<Report>>>;

export type ScenarioName = keyof typeof scenarios;

/** Plays a scenario. `directUrl` leads to the same database without what the test puts in between. */
export async function playScenario(
  name: ScenarioName,
  options: { readonly subject: SubjectName; readonly url: string; readonly directUrl: string },
): Promise<Report> {
  const { run: admin } = openPostgres(options.directUrl, false);
  await admin("DROP TABLE IF EXISTS rows_seen");
  await admin("CREATE TABLE rows_seen (id int)");
  const subject = await openSubject(options.subject, options.url);
  return scenarios[name]({
    subject,
    fresh: await openSubject(options.subject, options.url, { fetchTypes: false }),
    admin,
    endOf: (work) =>
      Promise.race([work.then(describeValue, describeError), delay(subject.patienceMs, "hung")]),
    terminate: async (pid) => {
      await admin("SELECT pg_terminate_backend($1::int, 5000)", [pid]);
      // The end of its socket is here or about to be; `postgres` has nothing to tell whether it has noticed.
      await delay(50);
    },
  });
}

async function goOnAfterLoss(
  { subject, admin, endOf, terminate }: Stage,
  hold: (body: (run: Run) => Promise<void>) => Promise<void>,
): Promise<Report> {
  const waiting = Promise.withResolvers<End>();
  const statement = Promise.withResolvers<End>();
  const held = hold(async (run) => {
    await run("INSERT INTO rows_seen VALUES (1)");
    const pid = await pidBy(run);
    waiting.resolve(endOf(subject.run("SELECT 1")));
    await terminate(pid);
    await waiting.promise;
    statement.resolve(endOf(run("INSERT INTO rows_seen VALUES (2)")));
    await statement.promise;
  });
  return {
    held: await endOf(held),
    waiting: await waiting.promise,
    statement: await statement.promise,
    rows: await admin("SELECT id FROM rows_seen"),
  };
}

async function pidBy(run: Run): Promise<unknown> {
  const [row] = await run("SELECT pg_backend_pid() AS pid");
  return row?.["pid"];
}

function describeValue(value: unknown): End {
  return typeof value === "string" ? `ok: ${value}` : "ok";
}

function describeError(error: unknown): End {
  if (!(error instanceof Error)) return String(error);
  const reason: unknown = Reflect.get(error, "reason");
  if (typeof reason === "string") return reason;
  // By which of its errors depends on how the end of the socket arrives.
  if (recogniseError(error)?.kind === "connection") return "lost";
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" ? code : error.message;
}
