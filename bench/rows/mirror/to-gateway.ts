import type { ProgramRow } from "../../src/row.ts";
import { bringBacklog } from "../../src/ways/bring-backlog.ts";

export const row: ProgramRow = {
  measures:
    "a backlog of invites that the assistant brings to the gateway: rows a second; p50 is the time of all of it",
  ...bringBacklog("assistant"),
};
