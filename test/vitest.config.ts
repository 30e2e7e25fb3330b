import { defineConfig } from "vitest/config";
import { COMPILED } from "./support/compiled.ts";

/** These leave nothing behind in their process, and so share one with others: most of what a small test costs is to read the program. */
const SHARING = [
  "test/{api,audit,cli,docs,formats,http/ui,http/v1,http/v2,identity,metrics,oci,policy,ui}/**/*.test.ts",
  "test/http/*.test.ts",
];
/** Children inherit the environment. What is waited for comes at once on a good day, and late on a busy machine. */
const shared = { env: COMPILED, testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 50_000 } } };

/** How `npm test` runs all of them. */
// oxlint-disable-next-line import/no-default-export -- this is how Vitest is told
export default defineConfig({
  test: {
    maxWorkers: "100%",
    projects: [
      { test: { ...shared, name: "sharing", include: SHARING, isolate: false } },
      { test: { ...shared, name: "alone", include: ["test/**/*.test.ts"], exclude: SHARING } },
    ],
  },
});
