import { createTestDatabase, runSql, type TestDatabase } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtInFunctions, isNeverAllowed, resultColumns } from "./built-in-functions.ts";
import { isCatalogName } from "./judge.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** PostgreSQL's own functions. */
async function functions(where: string): Promise<readonly string[]> {
  const rows = await runSql(
    database.url,
    `SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND ${where}`,
  );
  return rows.map(({ proname }) => String(proname));
}

describe("the functions that everybody may call", () => {
  it("are PostgreSQL's", async () => {
    const all = new Set(await functions("true"));
    expect([...builtInFunctions].filter((name) => !all.has(name))).toEqual([]);
  });

  it("change nothing and depend on nothing but the clock and chance, in all of their forms", async () => {
    const volatile = await functions("provolatile = 'v'");
    expect(volatile.filter((name) => builtInFunctions.has(name)).toSorted()).toEqual([
      "clock_timestamp",
      "gen_random_uuid",
      "uuidv4",
      "uuidv7",
    ]);
  });

  it("take no name of an object of the database, and are not among those that no policy can allow", async () => {
    const naming = await functions(
      "proargtypes::oid[]::regtype[]::text[] && '{regclass,regproc,regrole,regtype,regnamespace,refcursor,xml}'",
    );
    expect(naming.filter((name) => builtInFunctions.has(name))).toEqual([]);
    expect([...builtInFunctions].filter(isNeverAllowed)).toEqual([]);
  });
});

describe("the columns of what they give", () => {
  it("are known wherever PostgreSQL names them, other than by the list of a call", async () => {
    const rows = await runSql(
      database.url,
      `SELECT DISTINCT proname, (SELECT array_to_string(array_agg(name ORDER BY at), ',')
           FROM unnest(proargnames, proargmodes) WITH ORDINALITY AS x(name, mode, at) WHERE mode IN ('o', 'b', 't')) AS names
         FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proargmodes && '{o,b,t}'`,
    );
    const named = rows.map(({ proname, names }) => [String(proname), String(names).split(",")] as const);
    const found = new Map(named.filter(([name]) => builtInFunctions.has(name)));
    // That of a tsvector gives rows: a name behind it could be a call with a row alone.
    found.delete("unnest");
    expect(found).toEqual(resultColumns);
  });
});

describe("the functions that no policy can allow", () => {
  it("are those that run SQL, set what a session has, or reach files and other sessions", () => {
    const names = [
      "query_to_xml",
      "table_to_xmlschema",
      "ts_stat",
      "set_config",
      "pg_read_file",
      "lo_import",
    ];
    expect(names.filter((name) => !isNeverAllowed(name))).toEqual([]);
    expect(["generate_series", "location_of", "next_number", "logged"].filter(isNeverAllowed)).toEqual([]);
  });
});

describe("the tables that no policy can allow", () => {
  it("are all that PostgreSQL finds before those of the schema public", async () => {
    const rows = await runSql(
      database.url,
      "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace",
    );
    const names = rows.map(({ relname }) => String(relname));
    expect(names.length).toBeGreaterThan(100);
    expect(names.filter((name) => !isCatalogName(name))).toEqual([]);
  });
});
