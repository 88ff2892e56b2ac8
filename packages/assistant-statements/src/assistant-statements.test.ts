import { expect, it } from "vitest";
import * as offered from "./index.ts";

it("everything that callers can import is registered", () => {
  const { assistantStatements, ...statements } = offered;
  expect(new Set(assistantStatements)).toEqual(new Set(Object.values(statements)));
});
