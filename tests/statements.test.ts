import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import * as declared from "@tandem/assistant-statements";
import { callable, createDbProxy, type DbProxy, newRequestId, sql } from "@tandem/dbproxy";
import { type DeclaredStatement, defineStatement } from "@tandem/statements";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "./pair.ts";

const upsertContact = callable(declared.upsertContact);
const upsertContactWithChannels = callable(declared.upsertContactWithChannels);
const removeContact = callable(declared.removeContact);
const contactWithChannels = callable(declared.contactWithChannels);
const contactOfAddress = callable(declared.contactOfAddress);

let pair: Pair;
let db: DbProxy;
beforeAll(async () => {
  pair = await createPair();
  db = await connect(await pair.startAssistant());
});
afterAll(async () => {
  db.close();
  await pair[Symbol.asyncDispose]();
});

async function connect(assistant: Service): Promise<DbProxy> {
  await assistant.serving();
  return createDbProxy({ address: await assistant.dbProxyAddress() });
}

const newContact = () => upsertContact({ id: randomUUID(), displayName: "Ada", expectedVersion: null });

describe("what the assistant offers by name", () => {
  it("writes a contact with its channels in one transaction, and reads it in the same", async () => {
    const id = randomUUID();
    const address = `${id}@example.org`;
    const values = {
      id,
      newId: id,
      displayName: "Ada",
      expectedVersion: 0,
      channelIds: [randomUUID(), randomUUID()],
      types: ["email", "telegram"],
      addresses: [address, `@${id}`],
      externalUserIds: ["u1", null],
      externalChatIds: [null, null],
      primaries: [true, false],
    };
    const found = contactOfAddress({ type: "email", address });
    const { results } = await db.transaction([
      { statement: upsertContactWithChannels(values), guard: { min: 2, max: 2 } },
      found,
      contactWithChannels({ id: found.ref("id") }),
    ]);
    const channels = [
      { id, displayName: "Ada", version: 1n, type: "email", externalUserId: "u1", isPrimary: true },
      {
        id,
        type: "telegram",
        externalUserId: null,
        isPrimary: false,
        status: "unverified",
        channelVersion: 1n,
      },
    ];
    expect(results[1].rows).toMatchObject(channels);
    expect(results[2].rows).toEqual(results[1].rows);

    const changes = async (expectedVersion: number | bigint | null): Promise<bigint> => {
      const upsert = upsertContact({ id, displayName: "Ada L.", expectedVersion });
      return (await db.transaction([upsert])).results[0].changes;
    };
    expect([await changes(0), await changes(2n), await changes(1), await changes(null)]).toEqual([
      0n,
      0n,
      1n,
      1n,
    ]);
    expect((await db.query(contactWithChannels({ id }))).rows[0]).toMatchObject({
      displayName: "Ada L.",
      version: 3n,
    });
    await db.transaction([{ statement: removeContact({ id }), guard: { min: 1, max: 1 } }]);
    expect((await db.query(contactOfAddress({ type: "email", address }))).rows).toEqual([]);
  });

  it("is listed by a probe", async () => {
    const { statements } = await db.probe();
    expect(statements).toEqual(declared.assistantStatements.map(({ name }) => name));
  });

  it("is applied once under a request_id", async () => {
    const requestId = newRequestId();
    const steps = [newContact()] as const;
    const first = await db.transaction(steps, { requestId });
    expect(await db.transaction(steps, { requestId })).toMatchObject({
      replayed: true,
      results: first.results,
    });
    // The text of the same statement is another request.
    const asText = db.transaction([steps[0].asSql()], { requestId });
    await expect(asText).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
  });

  it("is all that a caller reaches where the policy is the default one", async () => {
    const strict = await connect(await pair.startAssistant({ TANDEM_POLICY_FILE: "" }));
    const upsert = newContact();
    expect((await strict.transaction([upsert])).results[0].changes).toBe(1n);
    const refused = { reason: "STATEMENT_NOT_ALLOWED", outcome: "NOT_COMMITTED" };
    await expect(strict.transaction([upsert.asSql()])).rejects.toMatchObject(refused);
    await expect(strict.query(sql`SELECT 1`)).rejects.toMatchObject(refused);
    strict.close();
  });
});

describe("a value of every declared type", () => {
  const everything = defineStatement({
    name: "values.echo",
    params: {
      b: "bool",
      i2: "int2",
      i4: "int4",
      i8: "int8",
      f4: "float4",
      f8: "float8",
      n: "numeric",
      y: "bytea",
      t: "timestamptz",
      j: "json",
      jb: "jsonb",
      u: "uuid",
      d: "date",
      il: "int8[]",
      jl: "jsonb[]",
      tl: "text[]",
      none: "interval | null",
    },
    sql: `SELECT $1::bool AS b, $2::int2 AS i2, $3::int4 AS i4, $4::int8 AS i8, $5::float4 AS f4, $6::float8 AS f8,
      $7::numeric AS n, $8::bytea AS y, $9::timestamptz AS t, $10::json AS j, $11::jsonb AS jb, $12::uuid AS u,
      $13::date AS d, $14::int8[] AS il, $15::jsonb[] AS jl, $16::text[] AS tl, $17::interval AS none`,
    result: {
      b: "bool",
      i2: "int2",
      i4: "int4",
      i8: "int8",
      f4: "float4",
      f8: "float8",
      n: "numeric",
      y: "bytea",
      t: "timestamptz",
      j: "json",
      jb: "jsonb",
      u: "uuid",
      d: "date",
      il: "int8[]",
      jl: "jsonb[]",
      tl: "text[]",
      none: "interval | null",
    },
  });

  it("goes to PostgreSQL and comes back as that type, and what came back can be sent again", async () => {
    const echo = callable(everything);
    const values = {
      b: true,
      i2: -1,
      i4: 7n,
      i8: 2n ** 63n - 1n,
      f4: 0.5,
      f8: 5,
      n: 12,
      y: Uint8Array.of(0, 255),
      t: new Date("2026-01-02T03:04:05.678Z"),
      j: "text",
      jb: { a: [1, null] },
      u: "01980000-0000-7000-8000-000000000001",
      d: "2026-01-02",
      il: [1, null, 3n],
      jl: [[1], { a: 1 }],
      tl: ["{", "a,b", null],
      none: null,
    };
    const back = {
      ...values,
      i2: -1n,
      n: "12",
      t: "2026-01-02T03:04:05.678000Z",
      il: [1n, null, 3n],
    };
    // It isn't registered: its text is what any caller of it would fall back on.
    const [row] = (await db.query(echo(values).asSql())).rows;
    expect(row).toEqual(back);
    if (row === undefined) return;
    const again = echo({ ...row, j: "text", jb: { a: [1, null] }, jl: [[1], { a: 1 }] });
    expect((await db.transaction([again.asSql()])).results[0].rows).toEqual([back]);
    await expect(db.query(echo(values))).rejects.toMatchObject({ reason: "UNKNOWN_STATEMENT" });
  });
});

describe("an assistant whose database isn't as its statements declare", () => {
  // Three processes and two databases, one after the other.
  it(
    "doesn't start, and names every statement with what is declared and what was found",
    { timeout: 60_000 },
    async () => {
      await using other = await createPair();
      (await connect(await other.startAssistant())).close();
      await runSql(other.assistant.url, "ALTER TABLE contacts ALTER COLUMN display_name TYPE varchar");
      await runSql(other.assistant.url, "REVOKE DELETE ON contacts FROM assistant_dbproxy");
      const assistant = await other.startAssistant();
      expect((await assistant.process.waitForExit()).code).toBe(1);
      const last = assistant.log().at(-1);
      expect(last).toMatchObject({ level: "fatal" });
      expect(String(last?.["msg"]).split("\n")).toEqual([
        "The registered statements can't be used:",
        "  contacts.remove: the dbproxy role may not run it: permission denied for table contacts (42501).",
        '  contacts.with_channels: its column "displayName" is declared as text, and PostgreSQL gives varchar.',
        '  contacts.of_address: its column "displayName" is declared as text, and PostgreSQL gives varchar.',
        '  contacts.page: its column "displayName" is declared as text, and PostgreSQL gives varchar.',
      ]);
      expect(assistant.log().some(({ msg }) => msg === "serving")).toBe(false);
    },
  );

  it("doesn't start with a policy that names what isn't registered", async () => {
    const policy = fileURLToPath(new URL("policy-of-unknown-statements.yaml", import.meta.url));
    const assistant = await pair.startAssistant({ TANDEM_POLICY_FILE: policy });
    expect((await assistant.process.waitForExit()).code).toBe(1);
    const names = declared.assistantStatements.map(({ name }: DeclaredStatement) => name).join(", ");
    expect(assistant.log().at(-1)?.["msg"]).toContain(
      `line 4: callers.gateway.statements[1] (contacts.upsrt) is no registered statement: there are ${names}.`,
    );
  });
});
