import { describe, expect, it } from "vitest";
import { parsePolicy, PolicyError } from "./parse-policy.ts";

const catalogue = {
  tables: new Map([["contacts", new Set(["id", "name"])]]),
  functions: new Set(["next_number", "lower"]),
  rowFunctions: new Set<string>(),
};

/** The problems of a policy file; none where it can be used. */
function problemsOf(text: string): readonly string[] {
  try {
    parsePolicy(text, { catalogue, statements: new Set(["contacts.put", "contacts.by_id"]) });
    return [];
  } catch (error) {
    if (error instanceof PolicyError) return error.problems;
    throw error;
  }
}

describe("a policy file", () => {
  it("says what each caller may do, and nothing is allowed where it says nothing", () => {
    const { callers } = parsePolicy(
      `
version: 1
callers:
  gateway:
    sql: true
    statements: [invites.record_use, contacts.add]
    functions: [next_number]
    tables:
      contacts: { select: all, insert: [id, name], delete: true }
  reporter:
    tables:
      contacts:
        select: [id]
  developer:
    tables: all
  nobody: {}
`,
      { catalogue },
    );
    expect(callers).toEqual(
      new Map([
        [
          "gateway",
          {
            sql: true,
            statements: new Set(["invites.record_use", "contacts.add"]),
            functions: new Set(["next_number"]),
            tables: new Map([["contacts", { select: "all", insert: new Set(["id", "name"]), delete: true }]]),
          },
        ],
        [
          "reporter",
          {
            sql: false,
            statements: new Set(),
            functions: new Set(),
            tables: new Map([["contacts", { select: new Set(["id"]), delete: false }]]),
          },
        ],
        ["developer", { sql: false, statements: new Set(), functions: new Set(), tables: "all" }],
        ["nobody", { sql: false, statements: new Set(), functions: new Set(), tables: new Map() }],
      ]),
    );
  });

  it("allows every registered statement at once", () => {
    const { callers } = parsePolicy("version: 1\ncallers: { a: { statements: all } }", {
      statements: new Set(),
    });
    expect(callers.get("a")).toMatchObject({ statements: "all", sql: false });
  });

  const inCaller = (line: string): string => `version: 1\ncallers:\n  a:\n    ${line}\n`;
  const inTable = (line: string): string => inCaller(`tables:\n      contacts:\n        ${line}`);

  const refused: readonly (readonly [text: string, problem: string])[] = [
    ["", "line 1: the file must be keys with values, one on each line."],
    ["callers: {}", "line 1: the file has no version: begin it with `version: 1`."],
    ["version: 1", "line 1: the file has no callers: write `callers:` and each caller's name below."],
    ["version: 2\ncallers: {}", "line 1: version is none that is known here: write 1."],
    ["version: '1'\ncallers: {}", "line 1: version is none that is known here: write 1."],
    ["version: 1\ncallers: {}\nrules: 1", "line 3: rules is not known here: write one of version, callers."],
    ["version: 1\ncallers: [a]", "line 2: callers must be keys with values, one on each line."],
    ["version: 1\ncallers:\n  7: {}", "line 3: callers has a key that is no name: put it in quotes."],
    ["version: 1\ncallers:\n  a:\n", "line 3: callers.a must be keys with values, one on each line."],
    ["version: 1\ncallers:\n  a: {}\n  b: {}\n  a: {}", "line 5: a stands there twice: keep one."],
    [
      inCaller("sqll: true"),
      "line 4: callers.a.sqll is not known here: write one of sql, statements, tables, functions.",
    ],
    [inCaller("sql: yes"), "line 4: callers.a.sql must be true or false."],
    [
      inCaller("statements: a"),
      "line 4: callers.a.statements must be a list of names, as in [contacts.put], or all.",
    ],
    [
      inCaller("statements: [contacts.put, 1]"),
      "line 4: callers.a.statements[1] must be a name: put it in quotes.",
    ],
    [
      inCaller("statements: [contacts.put, contacts.put]"),
      "line 4: callers.a.statements[1] (contacts.put) stands there twice: keep one.",
    ],
    [
      inCaller("statements:\n      - contacts.put\n      - contacts.pt"),
      "line 6: callers.a.statements[1] (contacts.pt) is no registered statement: there are contacts.put, contacts.by_id.",
    ],
    [
      inCaller("statements: [all]"),
      "line 4: callers.a.statements[0] (all) is no registered statement: there are contacts.put, contacts.by_id.",
    ],
    [
      inCaller("functions: [set_config]"),
      "line 4: callers.a.functions[0] (set_config) can't be allowed by a policy: leave it out.",
    ],
    [
      inCaller("functions: [a.b]"),
      "line 4: callers.a.functions[0] (a.b) can't be allowed by a policy: leave it out.",
    ],
    [
      inCaller("functions: [next_number, current_role, no_such_function]"),
      "line 4: callers.a.functions[2] (no_such_function) is no function of the database: write one of pg_catalog or public, without its schema.",
    ],
    ...["tandem://gateway", "Gate Way"].map(
      (name) =>
        [
          `version: 1\ncallers:\n  ${name}: { sql: true }`,
          `line 3: callers.${name} can't be a caller's name: a caller's name has lower-case letters, digits, dots, hyphens and underscores, or is a URI of another scheme than tandem.`,
        ] as const,
    ),
    [
      inCaller("tables: { other: { delete: true } }"),
      "line 4: callers.a.tables.other is no table of the database: it has contacts.",
    ],
    [
      inCaller("tables: { pg_roles: { delete: true } }"),
      "line 4: callers.a.tables.pg_roles is a name of PostgreSQL's own tables: leave it out.",
    ],
    [
      inCaller("tables: { contacts: {} }"),
      "line 4: callers.a.tables.contacts allows nothing: write select, insert, update or delete below it.",
    ],
    [
      inTable("selct: all"),
      "line 6: callers.a.tables.contacts.selct is not known here: write one of select, insert, update, delete.",
    ],
    [inTable("select: every"), "line 6: callers.a.tables.contacts.select must be a list of columns, or all."],
    [
      inTable("select: [all]"),
      "line 6: callers.a.tables.contacts.select[0] (all) is no column of the table: it has id, name.",
    ],
    [
      inTable("insert:\n          - id\n          - nmae"),
      "line 8: callers.a.tables.contacts.insert[1] (nmae) is no column of the table: it has id, name.",
    ],
    [inTable("delete: all"), "line 6: callers.a.tables.contacts.delete must be true or false."],
    [
      "version: 1\ncallers: &c {}\nother: *c",
      "line 3: other is not known here: write one of version, callers.",
    ],
    [
      "version: 1\ncallers:\n  a: &x { sql: true }\n  b: *x",
      "line 4: callers.b must be keys with values, one on each line.",
    ],
  ];
  it.each(refused.map(([text, problem]) => ({ text, problem })))(
    "names the line and the key of what is wrong, and says what to do: $problem",
    ({ text, problem }) => expect(problemsOf(text)).toEqual([problem]),
  );

  it("names every problem at once", () => {
    expect(
      problemsOf("version: 3\ncallers: { a: { sql: 1, tables: { b: { delete: true } } } }"),
    ).toHaveLength(3);
  });

  it.each([
    "version: 1\n callers: {",
    "a: b: c",
    "version: 1\ncallers: {}\n---\nversion: 1",
    "%YAML 9\n---\n{}",
    "\t- a",
    "!!binary a",
  ])("that is no YAML is refused with a line: %j", (text) => {
    const problems = problemsOf(text);
    expect(problems).not.toEqual([]);
    for (const problem of problems) expect(problem).toMatch(/^line \d+: /);
  });
});
