// A service that does nothing, as a process of its own, for the tests of runService. Its argument says how
// it behaves.
import { setTimeout as delay } from "node:timers/promises";
import { createLogger } from "../logger.ts";
import { runService } from "../process/run-service.ts";

const behaviour = process.argv[2];
const logger = createLogger({ service: "nothing" });

await runService({
  logger,
  stopTimeoutMs: 500,
  stopWhenInputEnds: true,
  start: async (signal) => {
    if (behaviour === "cannot start") throw new Error("The database is not there.");
    if (behaviour === "starts slowly") {
      logger.info("starting");
      await delay(60_000, undefined, { signal });
    }
    if (behaviour === "has a defect") setImmediate(() => void Promise.reject(new TypeError("a defect")));
    const alive = setInterval(() => {}, 1_000);
    logger.info("started");
    return {
      stop: async () => {
        if (behaviour === "hangs at the end") await delay(60_000);
        clearInterval(alive);
      },
      ...(behaviour === "fails later" ? { failed: Promise.reject(new Error("The peer refused us.")) } : {}),
    };
  },
});
