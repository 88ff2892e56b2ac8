import { createTestDatabase, runSql, type TestDatabase } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtInFunctions, isNeverAllowed, takesAnyRow } from "./built-in-functions.ts";
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

describe("the functions that take any row", () => {
  it("are known, where not everybody may call them", async () => {
    const any = await functions(
      `prokind IN ('f', 'a') AND pronargs > 0 AND pronargs - pronargdefaults <= 1 AND proargtypes[0]::regtype::text
         IN ('"any"', 'anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray', 'record')`,
    );
    expect(any.filter((name) => !builtInFunctions.has(name) && !takesAnyRow(name))).toEqual([]);
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
