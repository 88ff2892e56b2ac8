import { runSql } from "@tandem/testkit";
import { createRandom } from "@tandem/testkit/random";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readMutations } from "../../testing/config.ts";
import {
  countParams,
  exampleCaller,
  examplePolicy,
  exampleTables,
  readAllowedStatements,
  readHostileStatements,
} from "../../testing/example-policy.ts";
import { type LoggingServer, startLoggingServer } from "../../testing/logging-server.ts";
import { createSqlMutations } from "../../testing/mutate-sql.ts";
import {
  catalogueOf,
  failureOf,
  prepareAssistant,
  type Replica,
  startReplica,
  step,
  type StepInit,
} from "../../testing/proxy-fixture.ts";
import { identified } from "../../testing/identified.ts";
import { createWitness, type Witness } from "../../testing/witness.ts";
import type { Policy } from "./policy.ts";

const { count, seed } = readMutations();
const name = "assistant";
const role = "assistant_dbproxy";
const limits = { poolSize: 8, statementTimeoutMs: 300, lockTimeoutMs: 200, transactionTimeoutMs: 5_000 };
const IN_FLIGHT = 16;
// As many texts are sent, then the tables are made anew: an INSERT … SELECT of a table into itself doubles it.
const BATCH = 500;

let server: LoggingServer;
let witness: Witness;
let urlOf: (user: string) => string;
beforeAll(async () => {
  server = await startLoggingServer();
  const { adminUrl } = server;
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  await prepareAssistant({ name, adminUrl, url: url.href });
  urlOf = (user) => {
    const own = new URL(url);
    if (user !== "") Object.assign(own, { username: user, password: `${user}-test` });
    return own.href;
  };
  await runSql(urlOf("assistant_app"), "SELECT tandem.keep_receipts('24 hours')");
  await runSql(
    urlOf("assistant_owner"),
    `${exampleTables};
     CREATE FUNCTION next_number(int) RETURNS int LANGUAGE sql RETURN $1 + 1;
     GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO ${role};
     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role};
     INSERT INTO contacts (id, display_name) VALUES (gen_random_uuid(), 'kept');
     INSERT INTO notes VALUES (1, 'kept'), (2, 'kept')`,
  );
  witness = await createWitness({ name, adminUrl }, [...exampleCaller().functions]);
});
afterAll(async () => {
  await witness[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

it(
  `runs nothing but what PostgreSQL would let a role with the policy's rights run, of ${count} mutated statements (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
    const sent = await send(examplePolicy, count, seed);
    const seen = await readLog();
    const executed = [...seen.executed.keys()];
    const refusals = await judge(executed);
    process.stderr.write(
      `chaos: ${count} mutations in ${Math.round(sent.seconds)} s, ${seen.executions} run, ${executed.length} of them different; ends ${JSON.stringify(sent.ends)}\n`,
    );
    expect(refusals).toEqual([]);
    expect(seen.unknown, "what was run that no step may be, or that is not of our own").toEqual([]);
    expect(seen.severe, "PANIC and FATAL").toEqual([]);
    expect(Object.keys(sent.ends).filter((end) => !ends.has(end))).toEqual([]);
    expect(sent.changed, "rows of other tables and columns").toBe(0);
    // A run in which nothing comes through says nothing.
    expect(seen.executions).toBeGreaterThan(count / 100);
  },
  60_000 + count * 10,
);

it("is seen by the witness where there is no policy", async () => {
  const before = (await readLog()).executed;
  await send(undefined, 2_000, seed);
  const executed = [...(await readLog()).executed.keys()].filter((sql) => !before.has(sql));
  const refused = (await judge(executed)).filter(([, code]) => code === "42501");
  expect(refused.length).toBeGreaterThan(5);
}, 60_000);

// What a mutation can come to. Not here: a handler's defect, a transport's failure, a lost connection.
const ends = new Set(
  `SQL_INVALID STATEMENT_NOT_ALLOWED SCHEMA_MISMATCH INVALID_REQUEST DATA_EXCEPTION RESULT_TOO_LARGE NOT_SUPPORTED
   STATEMENT_TIMEOUT LOCK_TIMEOUT TRANSACTION_TIMEOUT DEADLOCK SERIALIZATION_FAILURE UNIQUE_VIOLATION NOT_NULL_VIOLATION
   RAISED`.split(/\s+/),
).add("nothing failed");

/** Sends so many mutated texts as steps and queries, several at once. */
async function send(policy: Policy | undefined, texts: number, from: number) {
  const database = { url: urlOf(""), urlFor: ({ name: user }: { readonly name: string }) => urlOf(user) };
  const catalogue = await catalogueOf(database);
  await using replica = await startReplica(database, {
    limits,
    policy,
    catalogue: () => catalogue,
    registered: [],
  });
  const allowed = readAllowedStatements();
  const hostile = readHostileStatements().map(({ sql }) => sql);
  // As many of the one kind as of the other, or next to nothing would come through.
  const mutated = createSqlMutations(
    [...hostile, ...hostile.map((_, at) => allowed[at % allowed.length] ?? "")],
    from,
  );
  const found: Record<string, number> = {};
  const random = createRandom(from);
  const started = performance.now();
  const to = { send: texts };
  let changed = 0;
  const next = (): string => {
    to.send -= 1;
    return mutated();
  };
  while (to.send > 0) {
    await runSql(urlOf(""), makeAnew);
    const rest = Math.max(0, to.send - BATCH);
    const sender = async (): Promise<void> => {
      while (to.send > rest) {
        const end = await failureOf(call(replica, { random, next, allowed }));
        const reason = end instanceof Error && "reason" in end ? String(end.reason) : String(end);
        found[reason] = (found[reason] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
    changed += (await runSql(urlOf(""), changedRows)).length;
  }
  return { ends: found, changed, seconds: (performance.now() - started) / 1_000 };
}

const makeAnew = `
TRUNCATE people, channels; INSERT INTO people VALUES (1, 'Ada', 'kept', 'kept'), (2, 'Grace', 'kept', 'kept2');
INSERT INTO channels VALUES (1, 1, 'ada@example.org'), (2, 2, 'grace@example.org')`;

const changedRows = `
SELECT 1 FROM people WHERE role NOT IN ('kept', 'none') OR secret NOT LIKE 'kept%' OR (role = 'kept') <> (secret IS NOT NULL)
UNION ALL SELECT 1 FROM (SELECT count(*) FILTER (WHERE role = 'kept') AS kept FROM people) WHERE kept <> 2
UNION ALL SELECT 1 FROM (SELECT string_agg(id || body, ',' ORDER BY id) AS rows FROM notes) WHERE rows <> '1kept,2kept'
UNION ALL SELECT 1 FROM (SELECT string_agg(display_name, ',') AS rows FROM contacts) WHERE rows <> 'kept'
UNION ALL SELECT 1 FROM contact_channels UNION ALL SELECT 1 FROM tandem.write_keys WHERE uses <> 0`;

interface Choice {
  readonly random: () => number;
  readonly next: () => string;
  readonly allowed: readonly string[];
}

/** One statement as a query, or one or several as steps; with and without a receipt, and a commit. */
async function call({ client }: Replica, { random, next, allowed }: Choice): Promise<unknown> {
  const how = random();
  if (how < 0.2) {
    const value = next();
    const params = Array.from({ length: countParams(value) }, () => ({}));
    return client.query({ statement: { case: "sql", value }, params });
  }
  if (how < 0.7) return client.transaction({ steps: [toStep(next())], validateOnly: how < 0.4 });
  if (how < 0.9) {
    const first = allowed[Math.floor(random() * allowed.length)] ?? "";
    return client.transaction({ ...identified(), steps: [toStep(first), toStep(next())] });
  }
  return client.transaction({ steps: [toStep(next()), toStep(next()), toStep(next())] });
}

/** With NULL for its parameters. */
function toStep(sql: string): StepInit {
  return step(sql, ...Array.from({ length: countParams(sql) }, () => undefined));
}

/** Those that PostgreSQL would refuse to a role with the rights of the policy, and why. */
async function judge(executed: readonly string[]): Promise<(readonly [sql: string, code: string])[]> {
  const refused: [string, string][] = [];
  for (const sql of executed) {
    const code = await witness.refusal(sql);
    if (code !== "") refused.push([sql, code]);
  }
  return refused;
}

const tags = new Set(["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"]);
const POSITION =
  /^SELECT (pg_current_wal_lsn\(\) - '0\/0'$|\(SELECT system_identifier FROM pg_control_system\(\)\), )/;
// Under names of ours, which no caller's statement ever has.
const ownStatements = [
  POSITION,
  /^BEGIN (ISOLATION LEVEL [A-Z ]+|READ ONLY)$/,
  /^(COMMIT|ROLLBACK|SET CONSTRAINTS ALL IMMEDIATE)$/,
  /^(SET SESSION AUTHORIZATION DEFAULT|RESET ALL|CLOSE ALL|UNLISTEN \*|DISCARD TEMP|DISCARD SEQUENCES)$/,
  /^SELECT pg_catalog\.pg_advisory_unlock_all\(\)$/,
  /^SELECT t\.oid, t\.typname, t\.typbasetype, .* FROM pg_catalog\.pg_type t LEFT JOIN pg_catalog\.pg_type e ON e\.typarray = t\.oid$/,
  /^INSERT INTO tandem\.receipts \(request_id, caller, state\) VALUES \(\$1::uuid, \$2::text, 'refused'\)$/,
  /^INSERT INTO tandem\.receipts \(request_id, caller, state, fingerprint, response, source_instance_id, requested_at\) VALUES /,
  /^SELECT state, encode\(fingerprint, 'base64'\), .* FROM tandem\.receipts WHERE request_id = \$1::uuid AND caller = \$2::text$/,
];

const TIMEOUT = /^SET LOCAL (statement|transaction)_timeout = \d+$/;

const CONNECTION_LOST = "08006";

/** What the server says that the role has executed: callers' statements, and what no caller may and we don't send. */
async function readLog() {
  const executed = new Map<string, string>();
  let executions = 0;
  const unknown: string[] = [];
  const severe: string[] = [];
  // By the process: whose COMMIT is the last statement that it has logged.
  const committing = new Set<number>();
  for await (const entry of server.entries()) {
    const { user, dbname, pid, ps = "", error_severity: severity, message } = entry;
    // DbProxy destroys the connection on which an answer grows too large.
    const left = entry.state_code === CONNECTION_LOST;
    if ((severity === "PANIC" || severity === "FATAL") && !left) severe.push(message);
    if (user !== role || dbname !== name || severity !== "LOG" || left) continue;
    const [, whose, text = ""] =
      /^execute (tandem|caller|<unnamed>)(?:_[\w .]+)?: (.*)$/s.exec(message) ?? [];
    const sql = text.replaceAll(/\s+/g, " ").trim();
    // Ours is in one flush with the question for the position.
    if (committing.delete(pid) && !POSITION.test(sql)) unknown.push("COMMIT");
    if (whose === undefined) {
      unknown.push(message);
    } else if (whose === "tandem") {
      if (!ownStatements.some((own) => own.test(sql))) unknown.push(message);
      if (sql === "COMMIT") committing.add(pid);
    } else if (whose === "caller" || !TIMEOUT.test(sql)) {
      executed.set(text, ps);
      executions += 1;
      if (!tags.has(ps)) unknown.push(`${ps}: ${text}`);
    }
  }
  return { executed, executions, unknown, severe };
}
