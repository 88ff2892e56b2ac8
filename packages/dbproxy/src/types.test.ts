import { defineStatement } from "@tandem/statements";
import { describe, expectTypeOf, it } from "vitest";
import type { DbProxy } from "./create-db-proxy.ts";
import { callable } from "./declared/callable.ts";
import type { DeclaredRow, ParamsOf } from "./declared/values-of.ts";
import type { QueryResult, StepResult } from "./results.ts";
import { sql } from "./sql.ts";
import type { Reference, Statement } from "./statement.ts";
import type { Guard } from "./steps.ts";
import { json } from "./values/json.ts";
import { numeric } from "./values/numbers.ts";
import type { TypedValue } from "./values/typed-value.ts";

interface Contact {
  readonly id: string;
  readonly version: bigint;
}

const contact = sql<Contact>`INSERT INTO contacts VALUES (${"x"}) RETURNING id, version`;

// Checked by the type checker alone: nothing here is called.
describe("the types", () => {
  it("give each step the rows of its statement", () => {
    const run = async (db: DbProxy) => {
      const steps = [
        contact,
        sql`DELETE FROM t`,
        { statement: sql<{ n: number }>`SELECT n`, guard: { min: 1 } },
      ] as const;
      const { results } = await db.transaction(steps);
      expectTypeOf(results[0]).toEqualTypeOf<StepResult<Contact>>();
      expectTypeOf(results[1]).toEqualTypeOf<StepResult>();
      expectTypeOf(results[2].rows[0]).toEqualTypeOf<{ n: number } | undefined>();
      expectTypeOf(results.length).toEqualTypeOf<3>();
      // @ts-expect-error there are three steps
      expectTypeOf(results[3]).not.toBeAny();
      // @ts-expect-error no such column
      expectTypeOf(results[0].rows[0]?.name).not.toBeAny();
    };
    expectTypeOf(run).toBeFunction();
  });

  it("know a list of steps written where it is passed as a tuple, and any other as a list", () => {
    const run = async (db: DbProxy, many: Statement<Contact>[]) => {
      const { results: two } = await db.transaction([
        { statement: contact, guard: { min: 1 } },
        sql<{ n: bigint }>`SELECT n`,
      ]);
      expectTypeOf(two[0].rows).toEqualTypeOf<readonly Contact[]>();
      expectTypeOf(two[1].rows).toEqualTypeOf<readonly { n: bigint }[]>();
      const { results } = await db.transaction(many);
      expectTypeOf(results).toEqualTypeOf<readonly StepResult<Contact>[]>();
    };
    expectTypeOf(run).toBeFunction();
  });

  it("give a query the rows of its statement", () => {
    const run = (db: DbProxy) => db.query(contact);
    expectTypeOf(run).returns.resolves.toEqualTypeOf<QueryResult<Contact>>();
  });

  it("let a reference name only what the statement returns", () => {
    expectTypeOf(contact.ref("id")).toEqualTypeOf<Reference>();
    expectTypeOf(sql`SELECT 1`.ref("whatever")).toEqualTypeOf<Reference>();
    // @ts-expect-error no such column
    contact.ref("name");
  });

  it("exclude what can't be sent", () => {
    const reference = contact.ref("id");
    const mistakes = () => [
      // @ts-expect-error undefined is no value
      sql`SELECT ${undefined}`,
      // @ts-expect-error an object is none: json() makes it one
      sql`SELECT ${{ a: 1 }}`,
      // @ts-expect-error a statement can't stand inside another
      sql`SELECT ${contact}`,
      // @ts-expect-error a reference stands for a whole parameter
      sql`SELECT ${[reference]}`,
      // @ts-expect-error a guard has a bound
      ((guard: Guard) => guard)({}),
      // @ts-expect-error a number may be rounded already
      numeric(1),
      // @ts-expect-error not a template
      sql("SELECT 1"),
    ];
    expectTypeOf(mistakes).toBeFunction();
    expectTypeOf(
      sql`SELECT ${[
        [1, null],
        [2n, "x"],
      ]}, ${json({ a: undefined })}, ${reference}`,
    ).toExtend<Statement>();
  });

  it("know what a declared statement takes and returns", () => {
    type Declared = {
      b: "bool";
      i: "int4";
      f: "float8";
      n: "numeric";
      y: "bytea";
      t: "timestamptz | null";
      j: "jsonb";
      u: "uuid | null";
      e: "mood";
      a: "int8[]";
      o: "text[] | null";
    };
    expectTypeOf<DeclaredRow<Declared>>().toEqualTypeOf<{
      readonly b: boolean;
      readonly i: bigint;
      readonly f: number;
      readonly n: string;
      readonly y: Uint8Array;
      readonly t: string | null;
      readonly j: unknown;
      readonly u: string | null;
      readonly e: string;
      readonly a: readonly (bigint | null)[];
      readonly o: readonly (string | null)[] | null;
    }>();
    expectTypeOf<ParamsOf<Declared>>().toEqualTypeOf<{
      readonly b: boolean | Reference;
      readonly i: bigint | number | Reference;
      readonly f: number | Reference;
      readonly n: string | bigint | number | TypedValue | Reference;
      readonly y: Uint8Array | Reference;
      readonly t: string | Date | null | Reference;
      readonly j: string | number | boolean | object | Reference;
      readonly u: string | null | Reference;
      readonly e: string | Reference;
      readonly a: readonly (bigint | number | null)[] | Reference;
      readonly o: readonly (string | null)[] | null | Reference;
    }>();
  });

  it("let a declared statement stand where the template's stands", () => {
    const put = callable(
      defineStatement({
        name: "contacts.put",
        params: { id: "uuid", version: "int8" },
        sql: "INSERT INTO contacts VALUES ($1, $2) RETURNING id, version",
        result: { id: "uuid", version: "int8" },
      }),
    );
    const run = async (db: DbProxy) => {
      const first = put({ id: "x", version: 1 });
      const { results } = await db.transaction([
        first,
        { statement: put({ id: first.ref("id"), version: 2n }), guard: { min: 1 } },
        sql`SELECT ${first.ref("version")}`,
      ]);
      expectTypeOf(results[1].rows[0]?.version).toEqualTypeOf<bigint | undefined>();
      const { rows } = await db.query(first.asSql());
      expectTypeOf(rows).toEqualTypeOf<readonly { readonly id: string; readonly version: bigint }[]>();
    };
    expectTypeOf(run).toBeFunction();
    const mistakes = () => [
      // @ts-expect-error no such column
      put({ id: "x", version: 1 }).ref("name"),
      // @ts-expect-error a parameter is missing
      put({ id: "x" }),
      // @ts-expect-error one too many
      put({ id: "x", version: 1, name: "y" }),
      // @ts-expect-error not a number
      put({ id: "x", version: "1" }),
      // @ts-expect-error not declared as null
      put({ id: null, version: 1 }),
      // @ts-expect-error it returns nothing
      callable(defineStatement({ name: "a.b", sql: "DELETE FROM t" }))({}).ref("id"),
    ];
    expectTypeOf(mistakes).toBeFunction();
  });

  it("keep statements of other rows apart", () => {
    expectTypeOf<Statement<{ id: string }>>().not.toExtend<Statement<{ id: bigint }>>();
    expectTypeOf<Statement<Contact>>().toExtend<Statement<object>>();
  });
});
