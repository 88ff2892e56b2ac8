import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["packages/*/src/**/*.test.ts", "tests/**/*.test.ts"],
    // One PostgreSQL server for the whole run; its address comes with inject("postgresAdminUrl").
    globalSetup: ["packages/testkit/src/vitest-global-setup.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
