import type { ProgramRow } from "../../src/row.ts";
import { bringBacklog } from "../../src/ways/bring-backlog.ts";

export const row: ProgramRow = {
  measures:
    "a backlog of invites that the gateway brings to the assistant: rows a second; p50 is the time of all of it",
  ...bringBacklog("gateway"),
};
