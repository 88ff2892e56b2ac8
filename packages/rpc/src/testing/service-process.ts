// A service that does nothing, as a process of its own, for the tests of runService. Its argument says how
// it behaves.
import { setTimeout as delay } from "node:timers/promises";
import { readProcessConfig } from "../process/process-config.ts";
import { runService } from "../process/run-service.ts";
import { Settings } from "../process/settings.ts";

const behaviour = process.argv[2];

await runService({
  name: "nothing",
  readConfig: () => {
    const settings = new Settings({
      TANDEM_STOP_WHEN_INPUT_ENDS: "true",
      TANDEM_DRAIN_TIMEOUT_MS: "0",
      TANDEM_ALLOW_PLAINTEXT: "true",
      TANDEM_PLAINTEXT_CALLER: "nobody",
    });
    if (behaviour === "is set up wrongly") settings.text("TANDEM_DATABASE_URL");
    return readProcessConfig(settings, { listen: "127.0.0.1:0" });
  },
  start: async ({ logger, signal }) => {
    if (behaviour === "cannot start") throw new Error("The database is not there.");
    if (behaviour === "starts slowly") {
      logger.info("starting");
      await delay(60_000, undefined, { signal });
    }
    if (behaviour === "has a defect") setImmediate(() => void Promise.reject(new TypeError("a defect")));
    const alive = setInterval(() => {}, 1_000);
    logger.info("started");
    return {
      async [Symbol.asyncDispose]() {
        if (behaviour === "hangs at the end") await delay(60_000);
        clearInterval(alive);
      },
    };
  },
});
