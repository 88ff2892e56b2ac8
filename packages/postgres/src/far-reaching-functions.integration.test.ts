import { randomBytes } from "node:crypto";
import { createTestDatabase, runSql, type TestDatabase } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bootstrapCluster, bootstrapDatabase } from "./bootstrap.ts";
import { recogniseError } from "./foreign-error.ts";
import type { DatabasePlan } from "./tandem-databases.ts";

const run = randomBytes(4).toString("hex");
const roles = { owner: `far_owner_${run}`, app: `far_app_${run}`, dbproxy: `far_dbproxy_${run}` };
const names = Object.values(roles);

let database: TestDatabase;
let plan: DatabasePlan;
beforeAll(async () => {
  database = await createTestDatabase();
  plan = { name: database.name, roles };
  const passwords = Object.fromEntries(names.map((role) => [role, role]));
  await bootstrapCluster({ adminUrl: database.adminUrl, databases: [plan], passwords });
});
afterAll(async () => {
  await database.drop();
  await runSql(database.adminUrl, `DROP ROLE ${names.join(", ")}`);
});

const bootstrap = (): Promise<void> => bootstrapDatabase({ adminUrl: database.adminUrl, database: plan });
const inside = (text: string): Promise<readonly Record<string, unknown>[]> => runSql(database.url, text);

/** The SQLSTATE of what a role is refused with; "" where it isn't. */
async function refusal(role: string, text: string): Promise<string> {
  try {
    await runSql(database.urlFor({ name: role, password: role }), text);
    return "";
  } catch (error) {
    const found = recogniseError(error);
    return found?.kind === "server" ? found.sqlstate : String(error);
  }
}

/** Rights on functions as the catalog has them, to be compared, and when a row of it was written. */
const rights = (): Promise<unknown> =>
  inside("SELECT oid::regprocedure::text, proacl::text, xmin::text FROM pg_proc ORDER BY 1");

const beyond: readonly [string, string][] = [
  ["changes a setting", "SELECT set_config('search_path', 'pg_temp', false)"],
  ["changes a setting by a view", "UPDATE pg_settings SET setting = '1s' WHERE name = 'lock_timeout'"],
  ["makes chance foreseeable", "SELECT setseed(0.5)"],
  ["takes a lock that no table knows", "SELECT pg_try_advisory_lock(1)"],
  ["runs SQL from a string", "SELECT query_to_xml('SELECT 1', true, true, '')"],
  ["reads a table by its name", "SELECT table_to_xml('pg_class', true, true, '')"],
  ["reads what a string says", "SELECT * FROM ts_stat('SELECT to_tsvector(''a'')')"],
  [
    "rewrites by what a string says",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
  ],
  ["sleeps", "SELECT pg_sleep(0)"],
  ["sleeps by an interval", "SELECT pg_sleep_for('0 s')"],
  ["speaks to other sessions", "SELECT pg_notify('a', 'b')"],
  ["ends other sessions", "SELECT pg_terminate_backend(0)"],
  ["reads what others of the same role run", "SELECT query FROM pg_stat_activity"],
  ["keeps something in no table", "SELECT lo_create(0)"],
];

describe("a function that reaches beyond its statement", () => {
  test.each(beyond)(
    "is the owner's and the app's to call, not the dbproxy role's, where it %s",
    async (_, text) => {
      expect(await refusal(roles.dbproxy, text)).toBe("42501");
      expect(await refusal(roles.app, text)).toBe("");
      expect(await refusal(roles.owner, text)).toBe("");
    },
  );

  test("is every one in PostgreSQL that is volatile, but for those known to be harmless", async () => {
    const rows = await inside(`
      SELECT DISTINCT p.proname AS name
      FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      WHERE a.grantee = 0 AND p.provolatile = 'v' AND p.pronamespace = 'pg_catalog'::regnamespace
        AND NOT p.proargtypes::oid[] && ARRAY['internal'::regtype::oid]
        AND p.prorettype NOT IN ('trigger'::regtype, 'language_handler'::regtype) ORDER BY 1`);
    expect(rows.map(({ name }) => String(name)).filter((name) => !harmless.test(name))).toEqual([]);
  });

  test("stays the dbproxy role's where DbProxy itself calls it, and in no other form", async () => {
    const rows = await inside(`
      SELECT p.oid::regprocedure::text AS name FROM pg_proc p, aclexplode(p.proacl) a
      WHERE a.grantee = '${roles.dbproxy}'::regrole ORDER BY 1`);
    expect(rows.map(({ name }) => String(name).replace(/,boolean\)$/, ")"))).toEqual([
      "pg_advisory_unlock_all()",
      "pg_logical_emit_message(boolean,text,text)",
    ]);
  });

  test("that was never everybody's is given to nobody", async () => {
    expect(await refusal(roles.owner, "SELECT lo_import('/etc/hostname')")).toBe("42501");
  });

  test("and that an extension brings is taken from everybody by the next bootstrap", async () => {
    const call = "SELECT * FROM crosstab('SELECT 1, 2, 3') AS (a int, b int)";
    await inside("CREATE SCHEMA extensions; CREATE EXTENSION tablefunc SCHEMA extensions");
    await inside(`GRANT USAGE ON SCHEMA extensions TO PUBLIC`);
    const asked = call.replace("crosstab", "extensions.crosstab");
    expect(await refusal(roles.dbproxy, asked)).not.toBe("42501");
    await bootstrap();
    expect(await refusal(roles.dbproxy, asked)).toBe("42501");
    expect(await refusal(roles.app, asked)).not.toBe("42501");
  });

  test("and that has the name of one but is the owner's is the owner's affair", async () => {
    const { owner, dbproxy } = roles;
    const as = (text: string): Promise<unknown> =>
      runSql(database.urlFor({ name: owner, password: owner }), text);
    await as("CREATE FUNCTION dblink(int) RETURNS int LANGUAGE sql RETURN 1");
    await as(`GRANT EXECUTE ON FUNCTION dblink(int) TO PUBLIC; GRANT USAGE ON SCHEMA public TO ${dbproxy}`);
    await bootstrap();
    expect(await refusal(dbproxy, "SELECT public.dblink(1)")).toBe("");
  });
});

describe("a role of PostgreSQL's own keeps what its members' tools call", () => {
  const member = `far_member_${run}`;
  beforeAll(async () => {
    await runSql(database.adminUrl, `CREATE ROLE ${member} LOGIN PASSWORD '${member}'`);
    await inside(`GRANT CONNECT ON DATABASE "${database.name}" TO ${member}`);
  });
  afterAll(async () => {
    await inside(`REVOKE CONNECT ON DATABASE "${database.name}" FROM ${member}`);
    await runSql(database.adminUrl, `DROP ROLE ${member}`);
  });

  const fixedSearchPath = "SELECT pg_catalog.set_config('search_path', '', false)";
  test.each([
    ["pg_read_all_data", "pg_dump", fixedSearchPath],
    ["pg_write_all_data", "pg_restore of data", fixedSearchPath],
    ["pg_maintain", "vacuumdb", fixedSearchPath],
    ["pg_read_all_stats", "watching", "SELECT query FROM pg_stat_activity"],
    ["pg_monitor", "watching", "SELECT query FROM pg_stat_activity"],
    ["pg_signal_backend", "ending a session", "SELECT pg_terminate_backend(0), pg_cancel_backend(0)"],
  ])("%s: %s", async (granted, _, text) => {
    expect(await refusal(member, text)).toBe("42501");
    await runSql(database.adminUrl, `GRANT ${granted} TO ${member}`);
    try {
      expect(await refusal(member, text)).toBe("");
    } finally {
      await runSql(database.adminUrl, `REVOKE ${granted} FROM ${member}`);
    }
  });

  test.each([
    ["pg_dump's workers share", "SELECT pg_export_snapshot()"],
    ["pg_dump reads large objects by", "SELECT lo_close(0)"],
    ["tells of locks", "SELECT * FROM pg_locks"],
    ["tools ask for time zones", "SELECT * FROM pg_timezone_names"],
    ["tells of replication", "SELECT * FROM pg_replication_slots"],
  ])("and everybody keeps what %s", async (_, text) => {
    expect(await refusal(member, text)).not.toBe("42501");
  });
});

describe("a further bootstrap", () => {
  test("changes nothing where nothing was changed, also when two run at once", async () => {
    await bootstrap();
    const before = await rights();
    await Promise.all([bootstrap(), bootstrap()]);
    expect(await rights()).toEqual(before);
  });

  test("takes from everybody what was given back, and leaves what one role was given", async () => {
    await inside(
      "GRANT EXECUTE ON FUNCTION set_config(text, text, boolean), pg_sleep_for(interval) TO PUBLIC",
    );
    await inside(`GRANT EXECUTE ON FUNCTION pg_sleep(double precision) TO ${roles.dbproxy}`);
    await Promise.all([bootstrap(), bootstrap()]);
    expect(await refusal(roles.dbproxy, "SELECT set_config('a.b', 'c', false)")).toBe("42501");
    expect(await refusal(roles.dbproxy, "SELECT pg_sleep_for('0 s')")).toBe("42501");
    expect(await refusal(roles.dbproxy, "SELECT pg_sleep(0)")).toBe("");
  });

  test("gives nobody what an administrator took from a role", async () => {
    const taken = [
      [roles.app, "pg_notify(text, text)"],
      [roles.owner, "lo_creat(integer)"],
      ["pg_read_all_data", "set_config(text, text, boolean)"],
    ];
    for (const [role, name] of taken) await inside(`REVOKE EXECUTE ON FUNCTION ${name} FROM ${role}`);
    const before = await rights();
    await bootstrap();
    expect(await rights()).toEqual(before);
    for (const [role, name] of taken) await inside(`GRANT EXECUTE ON FUNCTION ${name} TO ${role}`);
  });

  test("gives the dbproxy role back what DbProxy's own sessions can't do without", async () => {
    await inside(`REVOKE EXECUTE ON FUNCTION pg_advisory_unlock_all() FROM ${roles.dbproxy}`);
    await bootstrap();
    expect(await refusal(roles.dbproxy, "SELECT pg_advisory_unlock_all()")).toBe("");
  });
});

describe("a bootstrap of a database that others have had", () => {
  /** A database with its own content, and with other roles' rights if it is copied from a template. */
  async function other(template: string, body: (name: string, url: string) => Promise<void>): Promise<void> {
    const name = `far_other_${randomBytes(4).toString("hex")}`;
    const url = new URL(database.url);
    url.pathname = `/${name}`;
    await runSql(database.adminUrl, `CREATE DATABASE ${name} TEMPLATE ${template}`);
    try {
      await body(name, url.href);
    } finally {
      await runSql(database.adminUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    }
  }
  const holders = async (url: string, name: string): Promise<unknown[]> => {
    const found = await runSql(
      url,
      `SELECT DISTINCT a.grantee::regrole::text AS holder
       FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
       WHERE p.oid = '${name}'::regprocedure AND a.grantee <> p.proowner ORDER BY 1`,
    );
    return found.map(({ holder }) => holder);
  };
  const prepare = (name: string, others: Partial<DatabasePlan["roles"]> = {}): Promise<void> =>
    bootstrapDatabase({ adminUrl: database.adminUrl, database: { name, roles: { ...roles, ...others } } });

  test("gives nobody what an administrator had taken from everybody", async () => {
    await other("template0", async (name, url) => {
      // The schema is a superuser's, who has every right, where a dump was restored without its owner.
      await runSql(url, "CREATE EXTENSION dblink; CREATE SCHEMA tandem");
      const taken = ["dblink(text,text)", "lo_creat(int)", "pg_sleep(float8)"];
      await runSql(url, `REVOKE EXECUTE ON FUNCTION ${taken.join(", ")} FROM PUBLIC`);
      await prepare(name);
      for (const each of taken) expect(await holders(url, each)).toEqual([]);
      expect(await holders(url, "dblink(text)")).toEqual([roles.app, roles.owner].toSorted());
      expect(await holders(url, "lo_create(oid)")).toEqual([roles.app, roles.owner].toSorted());
    });
  });

  test("gives a role that is new to it what its owner has, the dbproxy role nothing more", async () => {
    const later = { owner: `far_owner2_${run}`, app: `far_app2_${run}`, dbproxy: `far_dbproxy2_${run}` };
    const all = Object.values(later);
    for (const role of all) await runSql(database.adminUrl, `CREATE ROLE ${role}`);
    try {
      await other(database.name, async (name, url) => {
        await runSql(url, `REVOKE EXECUTE ON FUNCTION lo_creat(int) FROM ${roles.owner}`);
        await prepare(name, { app: later.app });
        const apps = [roles.app, later.app, roles.owner].toSorted();
        expect(await holders(url, "lo_create(oid)")).toEqual(apps);
        expect(await holders(url, "lo_creat(int)")).toEqual([roles.app]);
        await runSql(url, `REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM ${later.app}`);
        await prepare(name, later);
        expect(await holders(url, "lo_create(oid)")).toEqual(
          [roles.app, later.owner, roles.owner].toSorted(),
        );
        expect(await holders(url, "pg_advisory_unlock_all()")).toContain(later.dbproxy);
        expect(await holders(url, "pg_sleep(float8)")).not.toContain(later.dbproxy);
      });
    } finally {
      await runSql(database.adminUrl, `DROP ROLE ${all.join(", ")}`);
    }
  });
});

const kinds: Readonly<Record<string, string>> = {
  "asks for a right of its own, or works for pg_upgrade alone": `
    nextval currval lastval setval pg_sequence_last_value pg_get_sequence_data brin_.* gin_clean_pending_list binary_upgrade_.*
    pg_(clear|restore)_(attribute|relation)_stats pg_(create|copy|drop|sync)_.*slots? pg_replication_slot_advance
    pg_logical_slot_.* pg_import_system_collations pg_extension_config_dump pg_nextoid pg_stop_making_pinned_objects
    pg_(database|tablespace)_size
    lo_(close|get|lseek|lseek64|open|put|tell|tell64|truncate|truncate64|unlink) loread lowrite`,
  "is of the clock and of chance": `
    clock_timestamp timeofday random random_normal gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle`,
  "tells of the caller's own session or statement": `
    current_query pg_stat_clear_snapshot pg_stat_force_next_flush pg_stat_get_xact_.* pg_jit_available
    pg_export_snapshot`,
  "tells of the server or of the catalog": `
    amvalidate plpgsql_validator pg_control_.* pg_current_wal_.* pg_last_.* pg_is_.* pg_get_wal_.* pg_get_wait_events
    pg_get_multixact_members pg_(table|indexes|relation|total_relation)_size pg_partition_.* pg_xact_.* txid_status
    pg_(database_)?collation_actual_version pg_stat_get_(io|recovery_prefetch) pg_get_loaded_modules
    pg_available_wal_summaries pg_wal_summary_contents`,
  "tells of other sessions, without what they run": `
    pg_blocking_pids pg_isolation_test_session_is_blocked pg_lock_status pg_notification_queue_usage pg_prepared_xact
    pg_safe_snapshot_blocking_pids pg_stat_get_backend_(io|wal)`,
};
const harmless = new RegExp(`^(${Object.values(kinds).join(" ").trim().split(/\s+/).join("|")})$`);
