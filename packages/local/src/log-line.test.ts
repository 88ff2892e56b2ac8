import { expect, test } from "vitest";
import { parseNotable } from "./log-line.ts";

test("finds warnings and errors, by the level's name or number", () => {
  expect(parseNotable('{"level":"warn","msg":"slow"}')).toEqual({ text: "slow", fatal: false });
  expect(parseNotable('{"level":50,"msg":"lost"}')).toEqual({ text: "lost", fatal: false });
  expect(parseNotable('{"level":"fatal","msg":"can not start"}')).toEqual({
    text: "can not start",
    fatal: true,
  });
});

test("keeps quiet about everything else", () => {
  for (const line of [
    '{"level":"info","msg":"x"}',
    '{"level":30}',
    "plain text",
    "{broken",
    "",
    "[]",
    "{}",
  ]) {
    expect(parseNotable(line)).toBeUndefined();
  }
});

test("adds the error's own message where the line doesn't say it, and never more than a line", () => {
  expect(parseNotable('{"level":"error","msg":"failed","err":{"message":"no route"}}')?.text).toBe(
    "failed (no route)",
  );
  expect(parseNotable('{"level":"error","msg":"no route","err":{"message":"no route"}}')?.text).toBe(
    "no route",
  );
  expect(parseNotable('{"level":"error","msg":"a\\n    at b"}')?.text).toBe("a");
});
