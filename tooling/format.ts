// `npm run format`: formats code and contract in place.
import { spawnSync } from "node:child_process";

for (const [name, ...args] of [["oxfmt"], ["buf", "format", "--write", "proto"]] as const) {
  const { status } = spawnSync(name, args, { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
