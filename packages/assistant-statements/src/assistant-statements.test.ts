import { expect, it } from "vitest";
import * as offered from "./index.ts";

it("everything that callers can import is registered", () => {
  const { assistantStatements, ...statements } = offered;
  expect(new Set(assistantStatements)).toEqual(new Set(Object.values(statements).flatMap(statementsIn)));
});

function statementsIn(offer: object): readonly object[] {
  // Of what makes statements for either table, those for the assistant's are offered as well.
  if (typeof offer === "function") return [];
  return "sql" in offer ? [offer] : Object.values(offer).flatMap((each: object) => statementsIn(each));
}
