import { runService } from "@tandem/rpc";
import { readAssistantConfig } from "./config.ts";
import { startAssistant } from "./server.ts";

await runService({ name: "assistant", readConfig: readAssistantConfig, start: startAssistant });
