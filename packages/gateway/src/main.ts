import { runService } from "@tandem/rpc";
import { readGatewayConfig } from "./config.ts";
import { startGateway } from "./server.ts";

await runService({ name: "gateway", readConfig: readGatewayConfig, start: startGateway });
