import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

test("has ports and a folder of its own where nothing is set", () => {
  expect(readConfig({})).toEqual({
    ports: { gateway: 7401, assistant: 7402, dbProxy: 7403, postgres: 7432 },
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
    TANDEM_DBPROXY_PORT: "1004",
    TANDEM_DATA: "/somewhere/else",
    TANDEM_LOG_LEVEL: "debug",
    TANDEM_EXAMPLE: "false",
  };
  expect(readConfig(environment)).toEqual({
    ports: { gateway: 1001, assistant: 1002, dbProxy: 1004, postgres: 1003 },
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
  expect(() => readConfig({ TANDEM_GATEWAY_PORT: "7402" })).toThrow("must be different ports");
});
