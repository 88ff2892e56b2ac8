// Makes the load of one row: node load-process.ts SET/NAME
import { answerParent } from "../child-process.ts";
import { loadRow } from "../find-rows.ts";
import type { Caller } from "../row.ts";
import { runClosedLoop } from "./closed-loop.ts";
import type { LoadQuestion } from "./load-messages.ts";

const name = process.argv[2] ?? "";
let caller: Caller | undefined;

answerParent(async (given) => {
  const question = given as LoadQuestion;
  if (question.ask === "interval") {
    if (caller === undefined) throw new Error(`${name} was not opened.`);
    return runClosedLoop(caller, question);
  }
  const row = await loadRow(name);
  if (row.kind !== "load") throw new Error(`${name} makes no load.`);
  caller = await row.open(question.place);
  return undefined;
});
