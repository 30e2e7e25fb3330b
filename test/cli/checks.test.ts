import { expect, test } from "vitest";
import { certificateCheck, clockCheck, contentCheck, diskCheck, identityText } from "../../src/cli/checks.ts";
import { EXIT } from "../../src/cli/failure.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();
const GIB = 1024 ** 3;

test.each([
  ["the same second", 0, 500, "ok"],
  ["whole seconds, cut off", -1, 999, "ok"],
  ["a slow answer", 20, 25_000, "ok"],
  ["5 s ahead", 5, 0, "ok"],
  ["6 s ahead", 6, 0, "warn"],
  ["7 s behind", -7, 0, "warn"],
  ["60 s ahead", 60, 0, "warn"],
  ["61 s ahead", 61, 0, "fail"],
  ["an hour behind", -3600, 0, "fail"],
])("a registry's clock: %s", (_, seconds, took, status) => {
  expect(clockCheck(at(seconds), NOW, NOW + took).status).toBe(status);
});

test("the clock's check says which way it is off, and that there was nothing to compare with", () => {
  expect(clockCheck(at(100), NOW, NOW).message).toBe("the registry's clock is 100 s ahead of this machine's");
  expect(clockCheck(at(-100), NOW, NOW).message).toBe("the registry's clock is 99 s behind this machine's");
  expect([clockCheck(undefined, NOW, NOW).status, clockCheck("soon", NOW, NOW).status]).toEqual(["warn", "warn"]);
});

test.each([
  [15, "ok"],
  [13, "warn"],
  [0.5, "warn"],
  [0, "fail"],
  [-1, "fail"],
])("a certificate that ends in %f days is %s", (days, status) => {
  expect(certificateCheck(at(days * 86_400), NOW).status).toBe(status);
});

test("a certificate whose end cannot be read is warned about", () => {
  expect(certificateCheck("", NOW).status).toBe("warn");
});

test.each([
  ["a large disk with a small share left", 50 * GIB, 1000 * GIB, "ok"],
  ["a small disk with a fair share left", 5 * GIB, 20 * GIB, "ok"],
  ["little", 5 * GIB, 1000 * GIB, "warn"],
  ["the reserve alone", GIB, 1000 * GIB, "fail"],
  ["the reserve of a small disk alone", GIB / 20, GIB, "fail"],
  ["nothing", 0, 1000 * GIB, "fail"],
])("a disk with %s", (_, free, total, status) => {
  expect(diskCheck("data", { free, total })).toMatchObject({ status, message: expect.stringContaining("on the disk of data") as string });
});

const last = { status: "ok", checked_at: "2026-11-25T12:00:00Z", detail: null };

test("damaged content is an integrity failure, whatever the last check said, and a check that failed itself a warning", () => {
  expect(contentCheck({ damaged: 1, last })).toMatchObject({ status: "fail", exit: EXIT.integrity });
  expect(contentCheck({ damaged: 0, last: { ...last, status: "error", detail: "the disk is slow" } })).toMatchObject({
    status: "warn",
    message: expect.stringContaining("the disk is slow") as string,
  });
  // What was damaged then was pushed again.
  expect(contentCheck({ damaged: 0, last: { ...last, status: "failed" } }).status).toBe("ok");
  expect(contentCheck({ damaged: 0, last: null })).toMatchObject({
    status: "ok",
    message: expect.stringContaining("verify-all") as string,
  });
});

test("an identity is told with its roles", () => {
  const roles = [
    { role: "owner", namespace: "models" },
    { role: "reader", namespace: "*" },
  ];
  expect(identityText({ name: "ci", kind: "service", roles, version: "1" })).toBe("ci: owner in models, reader everywhere");
  expect(identityText({ name: "ci", kind: "service", roles: [], version: "1" })).toBe("ci: no role");
  expect(identityText({ name: "service-token", kind: "service-token", roles: [], version: "1" })).toMatch(/^the service token/);
});
