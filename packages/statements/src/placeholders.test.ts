import { describe, expect, it } from "vitest";
import { placeholdersOf } from "./placeholders.ts";

describe("the placeholders of a text", () => {
  it.each<[string, number[]]>([
    ["SELECT $1, $2 + $1", [1, 2]],
    ["SELECT $10", [10]],
    ["SELECT $1::text || '$2' || \"$3\"", [1]],
    ["SELECT 'it''s $2', $1", [1]],
    ["SELECT E'it\\'s $2', $1", [1]],
    ["SELECT '\\', $1, '$2'", [1]],
    ['SELECT "a""$2", $1', [1]],
    ["SELECT $1 -- $2\n, $3", [1, 3]],
    ["SELECT $1 /* $2\n' */, $3", [1, 3]],
    ["SELECT $$ $2 ' $$, $1", [1]],
    ["SELECT $a$ $2 $$ $b$ $a$, $1", [1]],
    ["SELECT a$2, ü$3, $1", [1]],
    ["SELECT ($1)", [1]],
    ["SELECT a=$1", [1]],
    ["SELECT $0", [0]],
    ["SELECT 1", []],
  ])("%s", (sql, numbers) => {
    expect([...placeholdersOf(sql)]).toEqual(numbers);
  });
});
