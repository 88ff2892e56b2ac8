import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["packages/*/src/**/*.test.ts", "tests/**/*.test.ts", "bench/src/**/*.test.ts"],
    // One PostgreSQL server for the whole run; its address comes with inject("postgresAdminUrl").
    globalSetup: ["packages/testkit/src/vitest-global-setup.ts"],
    // A condition on a busy machine takes its time.
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
