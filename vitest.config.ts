import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 300_000,
    // Tests leave the user's cache folder as it is; those of warm starts have a folder of their own.
    env: { ESPALIER_WARM_START: "0" },
    // Tests that run the engine use every core; more files at once would only starve its threads.
    maxWorkers: 2,
  },
});
