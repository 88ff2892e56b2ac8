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
  ["looks at other sessions", "SELECT query FROM pg_stat_activity"],
  ["looks at other sessions' locks", "SELECT * FROM pg_locks"],
  ["keeps something in no table", "SELECT lo_create(0)"],
  ["reads files", "SELECT * FROM pg_timezone_names"],
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
    await inside(`REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM ${roles.app}`);
    await Promise.all([bootstrap(), bootstrap()]);
    expect(await refusal(roles.dbproxy, "SELECT set_config('a.b', 'c', false)")).toBe("42501");
    expect(await refusal(roles.dbproxy, "SELECT pg_sleep_for('0 s')")).toBe("42501");
    expect(await refusal(roles.dbproxy, "SELECT pg_sleep(0)")).toBe("");
    expect(await refusal(roles.app, "SELECT pg_notify('a', 'b')")).toBe("");
  });
});

const kinds: Readonly<Record<string, string>> = {
  "asks for a right of its own, or works for pg_upgrade alone": `
    nextval currval lastval pg_sequence_last_value pg_get_sequence_data brin_.* gin_clean_pending_list binary_upgrade_.*
    pg_(clear|restore)_(attribute|relation)_stats pg_(create|copy|drop|sync)_.*slots? pg_replication_slot_advance
    pg_logical_slot_.* pg_import_system_collations pg_extension_config_dump pg_nextoid pg_stop_making_pinned_objects
    pg_(database|tablespace)_size`,
  "is of the clock and of chance": `
    clock_timestamp timeofday random random_normal gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle`,
  "tells of the caller's own session or statement": `
    current_query pg_stat_clear_snapshot pg_stat_force_next_flush pg_stat_get_xact_.* pg_jit_available`,
  "tells of the server or of the catalog": `
    amvalidate plpgsql_validator pg_control_.* pg_current_wal_.* pg_last_.* pg_is_.* pg_get_wal_.* pg_get_wait_events
    pg_get_multixact_members pg_(table|indexes|relation|total_relation)_size pg_partition_.* pg_xact_.* txid_status
    pg_(database_)?collation_actual_version pg_stat_get_(io|recovery_prefetch)`,
};
const harmless = new RegExp(`^(${Object.values(kinds).join(" ").trim().split(/\s+/).join("|")})$`);
