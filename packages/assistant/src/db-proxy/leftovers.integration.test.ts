import { afterAll, beforeAll, expect, it } from "vitest";
import {
  countParams,
  exampleTables,
  readAllowedStatements,
  readHostileStatements,
} from "../testing/example-policy.ts";
import { createProxyFixture, failureOf, type ProxyFixture, step } from "../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeAll(async () => {
  // One connection, so that whoever looks is the next borrower; no policy, so that all that is a step is run.
  proxy = await createProxyFixture({
    poolSize: 1,
    statementTimeoutMs: 300,
    lockTimeoutMs: 200,
    transactionTimeoutMs: 5_000,
  });
  const definer = "RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS";
  await proxy.define(`
    ${exampleTables};
    CREATE SEQUENCE numbers; GRANT USAGE ON SEQUENCE numbers TO assistant_dbproxy;
    CREATE FUNCTION next_number(int) RETURNS int LANGUAGE sql RETURN $1 + 1;
    CREATE FUNCTION leave_listener() ${definer} 'BEGIN LISTEN somewhere; END';
    CREATE FUNCTION leave_prepared() ${definer} 'BEGIN EXECUTE ''PREPARE left_behind AS SELECT 1''; END';
    CREATE FUNCTION leave_cursor() ${definer} 'BEGIN EXECUTE ''DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1''; END';
    CREATE FUNCTION leave_temporary() ${definer} 'BEGIN CREATE TEMPORARY TABLE people (a int); END';
    CREATE FUNCTION leave_locked() ${definer} 'BEGIN PERFORM pg_advisory_lock(9); END';
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO assistant_dbproxy`);
  // What a bootstrap takes away, but for what ends other sessions: the role is all that other tests have, too.
  await proxy.sql(`DO $$ BEGIN EXECUTE (
    SELECT format('GRANT EXECUTE ON FUNCTION %s TO assistant_dbproxy', string_agg(oid::regprocedure::text, ', '))
    FROM pg_proc p, aclexplode(p.proacl) a
    WHERE a.grantee = 'assistant_app'::regrole AND p.pronamespace = 'pg_catalog'::regnamespace
      AND proname NOT IN ('pg_terminate_backend', 'pg_cancel_backend')); END $$`);
});
afterAll(() => proxy[Symbol.asyncDispose]());

// What the examples don't have, since no role may or no policy names it.
const more = [
  "SELECT set_config('role', 'assistant_dbproxy', false)",
  "SELECT set_config('session_authorization', 'assistant_dbproxy', false)",
  "SELECT set_config('search_path', 'pg_temp, evil', false), set_config('TimeZone', 'Asia/Tokyo', false)",
  "SELECT set_config('transaction_isolation', 'serializable', true)",
  "SELECT set_config('default_transaction_read_only', 'on', false)",
  "UPDATE pg_settings SET setting = '1ms' WHERE name IN ('lock_timeout', 'statement_timeout', 'work_mem')",
  "SELECT pg_advisory_lock(7), pg_advisory_lock_shared(8)",
  "SELECT nextval('numbers')",
  "SELECT lo_open(lo_create(0), 131072)",
  "SELECT leave_listener()",
  "SELECT leave_cursor()",
  "SELECT leave_temporary()",
  "SELECT leave_locked()",
];

// A setting of a language that was used, or of nobody's, is there from then on; it must be as it is reset to.
const look = `
SELECT pg_backend_pid() AS pid, json_build_object(
  'users', ARRAY[current_user::text, session_user::text, current_setting('role')],
  'settings', (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_settings
               WHERE setting <> reset_val OR category <> 'Customized Options'),
  'prepared', (SELECT json_agg(name) FROM pg_prepared_statements WHERE name !~ '^(tandem|caller)_'),
  'cursors', (SELECT json_agg(name) FROM pg_cursors WHERE name <> ''),
  'listening', (SELECT json_agg(c) FROM pg_listening_channels() c),
  'temporary', (SELECT json_agg(relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
  'locks', (SELECT json_agg(objid) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
)::text AS state`;

interface Found {
  readonly pid: unknown;
  /** What is as it is, by its name; settings have a name of their own. */
  readonly state: ReadonlyMap<string, string>;
}

async function lookAt(): Promise<Found> {
  const { results } = await proxy.transaction([step(look)]);
  const [pid, state] = results[0]?.rows[0]?.values.map(({ kind }) => kind.value) ?? [];
  const { settings, ...rest } = JSON.parse(typeof state === "string" ? state : "{}") as Record<
    string,
    object
  >;
  const entries = Object.entries({ ...settings, ...rest });
  return { pid, state: new Map(entries.map(([name, value]) => [name, JSON.stringify(value)])) };
}

function differences(one: Found, other: Found): readonly string[] {
  const names = new Set([...one.state.keys(), ...other.state.keys()]);
  return [...names]
    .filter((name) => one.state.get(name) !== other.state.get(name))
    .map((name) => `${name}: ${one.state.get(name)}, then ${other.state.get(name)}`);
}

it("nothing is left of any statement for the next borrower of its connection", async () => {
  const examples = readHostileStatements()
    // These leave nothing but would take a gigabyte each.
    .filter(({ why }) => !why.startsWith("makes much of little"))
    .map(({ sql }) => sql);
  const clean = await lookAt();
  const found: unknown[] = [];
  let ran = 0;
  let same = 0;
  let last = clean.pid;
  for (const sql of [...more, ...readAllowedStatements(), ...examples]) {
    const nulls = Array.from({ length: countParams(sql) }, () => undefined);
    const end = await failureOf(proxy.transaction([step(sql, ...nulls)]));
    const next = await lookAt();
    const changed = differences(clean, next);
    if (changed.length > 0) found.push({ sql, changed });
    if (end === "nothing failed" || !(end instanceof Error)) ran += 1;
    if (next.pid === last) same += 1;
    last = next.pid;
  }
  expect(found).toEqual([]);
  // That it is mended, not only thrown away, and that there was something to mend.
  expect(same).toBeGreaterThan(500);
  expect(ran).toBeGreaterThan(300);
  const open = `SELECT state, xact_start FROM pg_stat_activity WHERE pid = ${String(last)}`;
  await expect.poll(() => proxy.sql(open)).toEqual([{ state: "idle", xact_start: null }]);
  await proxy.transaction([step("SELECT nextval('numbers')")]);
  expect(await failureOf(proxy.transaction([step("SELECT lastval()")]))).toMatchObject({
    database: { sqlstate: "55000" },
  });
}, 60_000);

it("what a function of the owner's has prepared goes where we prepare nothing, and elsewhere no step can run it", async () => {
  const prepare = step("SELECT leave_prepared()");
  expect(await failureOf(proxy.transaction([step("EXECUTE left_behind")]))).toMatchObject({
    reason: "STATEMENT_NOT_ALLOWED",
  });
  await using pooled = await proxy.addReplica({ preparedStatements: false });
  // The second would fail: the name would be taken.
  for (let round = 0; round < 2; round += 1) await pooled.client.transaction({ steps: [prepare] });
});
