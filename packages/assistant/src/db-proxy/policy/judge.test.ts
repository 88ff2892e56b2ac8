import { loadModule, parseSync } from "libpg-query";
import { beforeAll, describe, expect, it } from "vitest";
import {
  exampleCaller,
  exampleCatalogue,
  readAllowedStatements,
  readHostileStatements,
} from "../../testing/example-policy.ts";
import { judge } from "./judge.ts";
import { readAccess } from "./read-access.ts";

const policy = exampleCaller();

beforeAll(loadModule);

/** The sentence that refuses a statement; "" for none. */
function refusal(sql: string, by = policy, catalogue = exampleCatalogue): string {
  const { stmts } = parseSync(sql) as { readonly stmts: readonly { readonly stmt: unknown }[] };
  return judge(readAccess(stmts[0]?.stmt), { policy: by, catalogue })?.message ?? "";
}

describe("a caller that may use every table", () => {
  const all = { ...policy, tables: "all" as const };

  it("may use columns and tables that the policy doesn't name", () => {
    expect(refusal("DELETE FROM whatever WHERE secret RETURNING *", all)).toBe("");
  });

  it.each([
    ["SELECT 1 FROM tandem.receipts", "not of the schema public"],
    ["SELECT 1 FROM pg_catalog.pg_roles", "not of the schema public"],
    ["SELECT 1 FROM pg_roles", '"pg_roles" may not be used'],
    ["SELECT set_config('role', 'postgres', false)", "set_config"],
  ])("may not do what no caller may: %s", (sql, sentence) => {
    expect(refusal(sql, all)).toContain(sentence);
  });
});

describe("a name behind another one", () => {
  const all = { ...policy, tables: "all" as const };

  it.each([
    "SELECT c.address FROM channels c",
    "SELECT c.made_since FROM channels c",
    "SELECT c.made_since FROM made_since c",
    "SELECT address FROM notes",
  ])("is a column where the table has it, or where it is no function's: %s", (sql) => {
    expect(refusal(sql, all)).toBe("");
  });

  it.each([
    "SELECT n.address FROM notes n",
    "SELECT m.address FROM made_since m",
    "SELECT x.address FROM (SELECT 1) x",
    "SELECT x.anything FROM next_number(1) x",
  ])("could be a call where it is a function's, or where a value may stand before it: %s", (sql) => {
    expect(refusal(sql, all)).toMatch(
      /^"\w+" could be a call there, .*: write the column's name alone, or list/,
    );
    const functions = new Set(["next_number", "address", "anything"]);
    expect(refusal(sql, { ...all, functions })).toBe("");
  });

  it("is no column that the policy names, where the table hasn't it any more", () => {
    const tables = new Map([["notes", { select: new Set(["address"]), delete: false }]]);
    expect(refusal("SELECT n.address FROM notes n", { ...policy, tables })).toContain("could be a call");
  });
});

describe("a function that no policy can allow", () => {
  const careless = { ...policy, functions: new Set(["set_config", "pg_read_file", "next_number"]) };

  it.each([
    "SELECT set_config('a.b', 'c', false)",
    "SELECT public.set_config('a.b', 'c', false)",
    "SELECT x.pg_read_file FROM lower('a') x",
  ])("is none's to call, also where one names it: %s", (sql) => {
    expect(refusal(sql, careless)).toMatch(/"(public\.)?(set_config|pg_read_file)"/);
    expect(refusal("SELECT next_number(1)", careless)).toBe("");
  });
});

describe("a type with a length", () => {
  it.each(["'x'::char(10001)", "'x'::bpchar('5')", "'x'::bpchar(id)", "'1'::bit(99999999999)"])(
    "is refused where that is more than any value needs, or no number: %s",
    (cast) => expect(refusal(`SELECT ${cast} FROM people`)).toContain("length of 10000 at most"),
  );

  it.each(["'x'::char(10000)", "'x'::char", "'1'::bit(1)", "'x'::varchar(0)", "1.5::numeric(1000, 2)"])(
    "is let through otherwise: %s",
    (cast) => expect(refusal(`SELECT ${cast}`)).toBe(""),
  );
});

describe("a statement within its caller's policy", () => {
  it.each(readAllowedStatements())("is let through: %s", (sql) => expect(refusal(sql)).toBe(""));
});

describe("a statement beyond its caller's policy", () => {
  it.each([
    ["SELECT secret FROM people", 'read the column "secret" of the table "people"'],
    ["SELECT 1 FROM people WHERE secret = $1", '"secret"'],
    ["SELECT 1 FROM people ORDER BY secret", '"secret"'],
    ["SELECT id AS x FROM people GROUP BY id, secret", '"secret"'],
    ["SELECT count(*) FILTER (WHERE secret) FROM people", '"secret"'],
    ["SELECT count(*) OVER (ORDER BY secret) FROM people", '"secret"'],
    ["SELECT id FROM people LIMIT (SELECT max(secret) FROM people)", '"secret"'],
    ["SELECT * FROM people", "every column"],
    ["SELECT c.* FROM people c", "every column"],
    ["SELECT c FROM people c", "every column"],
    ["SELECT people FROM people", "every column"],
    ["SELECT row_to_json(c) FROM people c", "every column"],
    ["SELECT count(c) FROM people c", "every column"],
    ["SELECT ROW(c.*) FROM people c", "every column"],
    ["SELECT (SELECT c) FROM people c", "every column"],
    ["TABLE people", "every column"],
    ["SELECT c.row_to_json FROM people c", '"row_to_json"'],
    ["SELECT (c).secret FROM people c", "(row).column"],
    ["SELECT (c.id).pg_read_file FROM people c", "(row).column"],
    ["SELECT a FROM people AS c(a)", "other names"],
    ["SELECT j.secret FROM (people c CROSS JOIN notes n) AS j", "join"],
    ["SELECT 1 FROM people JOIN notes USING (secret)", '"secret"'],
    ["SELECT 1 FROM people NATURAL JOIN channels", "NATURAL"],
    ["SELECT name FROM people c, notes n", "write it with its table"],
    ["SELECT c.id FROM people c WHERE EXISTS (SELECT FROM channels WHERE contact_id = c.id)", '"contact_id"'],
    ["SELECT id FROM people WHERE id IN (SELECT secret FROM channels)", '"secret"'],
    ["SELECT (SELECT c.secret FROM channels c) FROM people c", '"secret"'],
    ["WITH x AS (SELECT secret FROM people) SELECT 1", '"secret"'],
    ["WITH people AS (SELECT * FROM people) SELECT * FROM people", "every column"],
    ["WITH x AS (SELECT 1) SELECT * FROM public.x", 'table "x"'],
    ["SELECT (WITH x AS (SELECT 1) SELECT 1) FROM x", 'table "x"'],
    ["SELECT id FROM people UNION SELECT secret FROM people", '"secret"'],
    ["VALUES ((SELECT secret FROM people))", '"secret"'],
    ["SELECT * FROM unnest((SELECT array_agg(secret) FROM people))", '"secret"'],
    ["SELECT 1 FROM people c, LATERAL (SELECT c.secret) x", '"secret"'],
    ["SELECT 1 FROM people c JOIN notes n ON c.secret = n.id", '"secret"'],
    ["SELECT n.id FROM notes n FOR UPDATE", 'lock rows of the table "notes"'],
    ["SELECT 1 FROM (SELECT id FROM notes) n FOR SHARE", 'lock rows of the table "notes"'],
    ["SELECT 1 FROM (SELECT id FROM notes) n, people FOR KEY SHARE OF n", "lock rows"],
    ["SELECT ctid FROM channels", "system column"],
    ["SELECT h.xmin FROM channels h", "system column"],
    ["SELECT 1 FROM other", 'table "other"'],
    ["SELECT 1 FROM pg_class", 'table "pg_class"'],
    ["SELECT 1 FROM pg_catalog.pg_class", '"pg_catalog.pg_class"'],
    ["SELECT 1 FROM tandem.receipts", '"tandem.receipts"'],
    ["SELECT 1 FROM d.public.people", "schema public"],
    ["SELECT pg_sleep(1)", '"pg_sleep"'],
    ["SELECT pg_catalog.pg_sleep(1)", '"pg_sleep"'],
    ["SELECT other.lower('a')", '"other.lower"'],
    ["SELECT public.lower('a')", '"public.lower"'],
    ["SELECT * FROM pg_ls_dir('.')", '"pg_ls_dir"'],
    ["SELECT * FROM ROWS FROM (unnest($1), pg_ls_dir('.'))", '"pg_ls_dir"'],
    ["SELECT current_user", '"current_user"'],
    ["SELECT session_user", '"session_user"'],
    ["SELECT * FROM current_schema", '"current_schema"'],
    ["SELECT 'people'::regclass", '"regclass"'],
    ["SELECT CAST(1 AS public.thing)", '"public.thing"'],
    ["SELECT NULL::people", '"people"'],
    ["SELECT * FROM jsonb_to_record($1) AS r(a regclass)", '"regclass"'],
    ["SELECT 1 OPERATOR(public.+) 2", "OPERATOR"],
    ["SELECT id FROM people ORDER BY id USING OPERATOR(public.<)", "OPERATOR"],
    ["SELECT 1 OPERATOR(public.=) ANY (SELECT 1)", "OPERATOR"],
    ["SELECT name COLLATE other.c FROM people", '"other.c"'],
    ["SELECT 1 FROM people TABLESAMPLE SYSTEM (1)", "RangeTableSample"],
    ["SELECT 1 FROM xmltable('/a' PASSING '<a/>' COLUMNS b text)", "RangeTableFunc"],
    ["SELECT 1 FROM json_table('[]', '$' COLUMNS (a int))", "JsonTable"],
    ["SELECT xmlparse(document '<a/>')", "XmlExpr"],
    ["SELECT json_value('{}', '$')", "JsonFuncExpr"],
    ["SELECT id INTO copy FROM people", "SELECT INTO"],
    ["WITH RECURSIVE x(a) AS (SELECT 1) CYCLE a SET b USING p SELECT 1", "cycle_clause"],
    ["INSERT INTO people VALUES ($1)", "insert every column"],
    ["INSERT INTO people (id, role) VALUES ($1, $2)", 'insert the column "role"'],
    ["INSERT INTO notes (id) VALUES ($1)", 'insert into the table "notes"'],
    ["INSERT INTO people (id) VALUES ($1) RETURNING *", "read every column"],
    ["INSERT INTO people (id) VALUES ($1) RETURNING secret", 'read the column "secret"'],
    ["INSERT INTO people (id) VALUES ($1) RETURNING new.secret", 'read the column "secret"'],
    ["INSERT INTO people (id) VALUES ($1) RETURNING WITH (NEW AS n) n", "read every column"],
    ["INSERT INTO people (id) VALUES ((SELECT secret FROM people))", '"secret"'],
    ["INSERT INTO people (id) VALUES ($1) ON CONFLICT (secret) DO NOTHING", '"secret"'],
    ["INSERT INTO people (id) VALUES ($1) ON CONFLICT (id) WHERE secret = 'x' DO NOTHING", '"secret"'],
    ["INSERT INTO people (id) VALUES ($1) ON CONFLICT ON CONSTRAINT k DO NOTHING", "InferClause"],
    [
      "INSERT INTO people (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET role = 'x'",
      'update the column "role"',
    ],
    ["INSERT INTO people (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET name = excluded.secret", '"secret"'],
    [
      "INSERT INTO people (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE secret",
      '"secret"',
    ],
    ["UPDATE people SET role = $1", 'update the column "role"'],
    ["UPDATE people SET name = secret", 'read the column "secret"'],
    ["UPDATE people SET name = 'x' WHERE secret = 1", 'read the column "secret"'],
    ["UPDATE people SET (name, role) = ('a', 'b')", 'update the column "role"'],
    ["UPDATE people SET name.role = 'x'", "(row).column"],
    ["UPDATE people SET name = 'x' RETURNING old.secret", '"secret"'],
    ["UPDATE people SET name = 'x' FROM notes n RETURNING *", "every column"],
    ["UPDATE notes SET body = 'x'", 'update or lock rows of the table "notes"'],
    ["UPDATE channels SET ctid = '(0,1)'", "system column"],
    ["DELETE FROM people", 'delete from the table "people"'],
    ["DELETE FROM channels USING people c WHERE c.secret = 1", '"secret"'],
    ["DELETE FROM channels WHERE CURRENT OF c", "CurrentOfExpr"],
    ["WITH x AS (DELETE FROM people) SELECT 1", 'delete from the table "people"'],
    ["SELECT (WITH x AS (UPDATE notes SET id = 1 RETURNING id) SELECT 1)", "update"],
    ["WITH x AS (WITH y AS (DELETE FROM notes) SELECT 1) SELECT 1", 'delete from the table "notes"'],
    ["WITH channels AS (SELECT 1) DELETE FROM notes", "delete"],
    ["MERGE INTO people c USING notes n ON n.id = c.id WHEN MATCHED THEN DELETE", "delete from"],
    ["MERGE INTO people c USING notes n ON c.secret = n.id WHEN MATCHED THEN DO NOTHING", '"secret"'],
    ["MERGE INTO people c USING notes n ON true WHEN MATCHED AND c.secret THEN DO NOTHING", '"secret"'],
    ["MERGE INTO people c USING notes n ON true WHEN MATCHED THEN UPDATE SET role = 'x'", '"role"'],
    [
      "MERGE INTO people c USING notes n ON true WHEN NOT MATCHED THEN INSERT VALUES (1)",
      "insert every column",
    ],
    ["MERGE INTO people c USING notes n ON true WHEN NOT MATCHED THEN INSERT (role) VALUES (1)", '"role"'],
    ["MERGE INTO notes n USING people c ON true WHEN NOT MATCHED THEN INSERT DEFAULT VALUES", "insert into"],
    ["SELECT nobody.id FROM people", 'alias "nobody"'],
    ["SELECT other.people.id FROM people", "schema public"],
    ["COMMIT", "TransactionStmt"],
  ])("is refused: %s", (sql, sentence) => expect(refusal(sql)).toContain(sentence));

  it.each(readHostileStatements().filter(({ layer }) => layer === "tree"))(
    "is refused, by what is read off its tree: $sql",
    ({ sql }) => expect(refusal(sql)).not.toBe(""),
  );

  it("is refused where it is nested more deeply than anything anybody writes", () => {
    expect(refusal(`SELECT ${"- ".repeat(600)} $1`)).toContain("deeply");
    expect(refusal(`SELECT ${"(SELECT ".repeat(600)}1${")".repeat(600)}`)).toContain("deeply");
    expect(refusal(`SELECT 1 ${"UNION SELECT 1 ".repeat(600)}`)).toContain("deeply");
  });

  it("is refused where it names more columns than any table has", () => {
    const columns = Array.from({ length: 4_001 }, (_, index) => `c${index}`);
    expect(refusal(`SELECT ${columns.join()} FROM channels`)).toContain("too many");
  });

  it("is refused by a sentence that holds no value and no more of a name than a name has", () => {
    const sentence = refusal(`SELECT 'value' FROM people WHERE "${"x".repeat(63)}" = 'value'`);
    expect(sentence).toContain("x".repeat(63));
    expect(sentence).not.toContain("value");
  });
});
