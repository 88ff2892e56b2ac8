import { expect, it } from "vitest";
import * as offered from "./index.ts";

it("everything that callers can import is registered", () => {
  const { assistantStatements, ...statements } = offered;
  expect(new Set(assistantStatements)).toEqual(new Set(Object.values(statements).flatMap(statementsIn)));
});

function statementsIn(offer: object): readonly object[] {
  return "sql" in offer ? [offer] : Object.values(offer).flatMap((each: object) => statementsIn(each));
}
