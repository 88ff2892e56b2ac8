import { defineConfig } from "vitest/config";

// They measure, or kill and wait under load: nothing else has the processor meanwhile.
const alone = [
  "packages/assistant/src/db-proxy/**/*.test.ts",
  "tests/{chaos,cutover,mirror}/**/*.test.ts",
  "tests/streams.test.ts",
  "bench/src/**/*.test.ts",
];

export default defineConfig({
  test: {
    // One PostgreSQL server for each project; its address comes with inject("postgresAdminUrl").
    globalSetup: ["packages/testkit/src/vitest-global-setup.ts"],
    // A condition on a busy machine takes its time.
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "together",
          include: ["packages/*/src/**/*.test.ts", "tests/**/*.test.ts"],
          exclude: ["**/node_modules/**", ...alone],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "alone",
          include: alone,
          exclude: ["**/node_modules/**"],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
