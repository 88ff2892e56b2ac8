import type { ProgramRow } from "../../src/row.ts";
import { startAssistant } from "../../src/ways/start-assistant.ts";

export const row: ProgramRow = {
  kind: "program",
  measures: "the assistant's process, from its start until it serves (p50), and its memory then",
  concurrency: [1],
  interval: startAssistant,
};
