import { expect, test } from "vitest";
import { linesWithSecrets } from "./support/log-secrets.ts";
import { basicOf } from "./support/program.ts";
import { startTestRegistry } from "./support/server.ts";

const KEY = `amr_${"0aB".repeat(12)}`;

test.each([
  ["a key", `{"msg":"${KEY}"}`],
  ["a refresh token", `{"msg":"amrr_${"0aB".repeat(12)}"}`],
  ["a token", '{"token":"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}'],
  ["what the logger blanked", '{"err":{"message":"[redacted]"}}'],
  ["a key as a login sends it", `{"header":"x ${Buffer.from(`publisher:${KEY}`).toString("base64")}"}`],
  ["a key that signs", '{"key":"-----BEGIN ENCRYPTED PRIVATE KEY-----"}'],
  ["the service token", '{"path":"/a","token":"of-the-service"}'],
])("a line with %s is found", (_, line) => {
  expect(linesWithSecrets(['{"msg":"all is well"}', line], ["of-the-service"])).toEqual([line]);
});

test("no test registry ends well that logged a secret, in whatever field", async () => {
  for (const said of [KEY, `Bearer ${KEY}`]) {
    const registry = await startTestRegistry();
    registry.services.log.info({ field: said }, "said");
    await expect(registry.stop()).rejects.toThrow("the log has a secret");
  }
  const registry = await startTestRegistry();
  const basic = await basicOf(registry.directory, "publisher");
  registry.services.log.trace({ field: Object.values(basic)[0]?.replace("Basic ", "") }, "said");
  await expect(registry.stop()).rejects.toThrow("the log has a secret");
});
