import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Catalogue } from "../db-proxy/policy/policy.ts";
import { exampleTables } from "../testing/example-policy.ts";
import { catalogueOf, createProxyFixture, type ProxyFixture } from "../testing/proxy-fixture.ts";

// What takes a row of channels by another way than by its type.
const more = `
CREATE TABLE special_channels () INHERITS (channels);
CREATE FUNCTION of_record(record) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION of_domain(some_channel) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION of_compatible(anycompatible) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION of_any_kind(VARIADIC "any") RETURNS bool LANGUAGE internal AS 'pg_num_nulls';
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE state AS ENUM ('on', 'off');
CREATE FUNCTION mood_of(channels, int, boolean) RETURNS mood LANGUAGE sql RETURN 'good'::mood;
CREATE CAST (channels AS mood) WITH FUNCTION mood_of(channels, int, boolean) AS IMPLICIT;
CREATE FUNCTION of_mood(mood) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION of_two(channels, int) RETURNS int LANGUAGE sql RETURN 1;
CREATE PROCEDURE done(channels) LANGUAGE sql AS 'SELECT 1'`;

/** Those of all names of functions and types with which PostgreSQL finds something behind the name of what is in FROM. */
const foundBehind = (from: string): string => `
DO $$
DECLARE name text; code text;
BEGIN
  CREATE TEMP TABLE found (name text);
  FOR name IN SELECT proname FROM pg_proc UNION SELECT typname FROM pg_type LOOP
    BEGIN
      EXECUTE format('EXPLAIN SELECT x.%I FROM ${from} x', name);
      code := 'nothing failed';
    EXCEPTION WHEN OTHERS THEN code := SQLSTATE; END;
    IF code <> '42703' THEN INSERT INTO found VALUES (name); END IF;
  END LOOP;
END $$;
SELECT name FROM found`;

let proxy: ProxyFixture;
let catalogue: Catalogue;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.define(exampleTables);
  await proxy.sql(more);
  catalogue = await catalogueOf(proxy);
});
afterAll(() => proxy[Symbol.asyncDispose]());

describe("what a database is known to have", () => {
  it("are tables and views with their columns, and functions", () => {
    expect(catalogue.tables.get("channels")).toEqual(new Set(["id", "contact_id", "address"]));
    expect(["wipe", "of_any", "lower", "done"].filter((name) => !catalogue.functions.has(name))).toEqual([]);
    expect(catalogue.functions.has("no_such_function")).toBe(false);
  });

  it.each([
    "channels",
    "special_channels",
    "(SELECT 1 AS a, 2 AS b, 'a'::text AS c)",
    "(VALUES (1))",
    "jsonb_each('{}')",
  ])(
    "is every name that PostgreSQL takes for a call behind that of %s",
    async (from) => {
      // A list of rows for each statement of the text.
      const rows = (await proxy.sql(foundBehind(from.replaceAll("'", "''")))).flat() as { name?: string }[];
      const names = rows.flatMap(({ name }) => name ?? []);
      // The type record makes of a record what it is.
      const columns = new Set([...(catalogue.tables.get(from) ?? []), "key", "value", "record"]);
      expect(names).toEqual(expect.arrayContaining(["of_any", "of_record", "of_any_kind", "pg_typeof"]));
      const unknown = names.filter((name) => !catalogue.rowFunctions.has(name) && !columns.has(name));
      expect(unknown).toEqual([]);
    },
    60_000,
  );

  it("is none of the names that columns often have", () => {
    const often =
      "id name text date time status state type kind role count value key path user version".split(" ");
    expect(often.filter((name) => catalogue.rowFunctions.has(name))).toEqual(["count"]);
    expect(["wipe", "of_text", "of_two"].filter((name) => catalogue.rowFunctions.has(name))).toEqual([]);
  });
});
