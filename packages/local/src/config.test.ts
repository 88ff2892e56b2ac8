import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

test("has ports and a folder of its own where nothing is set", () => {
  expect(readConfig({})).toEqual({
    gatewayPort: 7401,
    assistantPort: 7402,
    postgresPort: 7432,
    dataFolder: expect.stringMatching(/^\/.*\/\.tandem$/),
    logLevel: "info",
    example: true,
  });
});

test("takes what is set", () => {
  const environment = {
    TANDEM_GATEWAY_PORT: "1001",
    TANDEM_ASSISTANT_PORT: "1002",
    TANDEM_POSTGRES_PORT: "1003",
    TANDEM_DATA: "/somewhere/else",
    TANDEM_LOG_LEVEL: "debug",
    TANDEM_EXAMPLE: "false",
  };
  expect(readConfig(environment)).toEqual({
    gatewayPort: 1001,
    assistantPort: 1002,
    postgresPort: 1003,
    dataFolder: "/somewhere/else",
    logLevel: "debug",
    example: false,
  });
});

test("refuses what can't be a port with a sentence that names the variable", () => {
  for (const value of ["0", "65536", "http", "-1", "7401.5"]) {
    expect(() => readConfig({ TANDEM_ASSISTANT_PORT: value })).toThrow(
      "TANDEM_ASSISTANT_PORT must be a whole number from 1 to 65535.",
    );
  }
});

test("refuses one port for two things", () => {
  expect(() => readConfig({ TANDEM_GATEWAY_PORT: "7402" })).toThrow("must be three different ports");
});
