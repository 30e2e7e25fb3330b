import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../src/log.ts";
import { readIntegrityResult } from "../../src/registry/verify-result.ts";

const log = createLogger("silent");
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-integrity-"));
  path = join(folder, "integrity.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const read = (): Promise<unknown> => readIntegrityResult({ integrityResultPath: path, log });

describe("the result of the last integrity check", () => {
  test("is unknown while there is no file", async () => {
    expect(await read()).toEqual({ detail: "no integrity check has run yet", status: "unknown" });
  });

  test.each([
    '{"status":"ok","models_checked":3,"failures":0,"checked_at":"2026-01-01T00:00:00Z"}',
    "[1,2]",
    '"text"',
    "17",
    "null",
    " {} \n",
  ])("is whatever one value its file holds: %s", async (content) => {
    await writeFile(path, content);
    expect(await read()).toEqual(JSON.parse(content));
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "status: ok"],
    ["two values", "{} {}"],
    ["half a value", '{"status":"ok"'],
    ["a member twice", '{"status":"ok","status":"failed"}'],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0x22])],
    ["nesting without end", "[".repeat(100_000)],
    ["more than a mebibyte", `"${"x".repeat(1024 * 1024)}"`],
  ])("cannot be had from a file with %s", async (_, content) => {
    await writeFile(path, content);
    await expect(read()).rejects.toMatchObject({ code: "UNAVAILABLE", message: "integrity result unavailable" });
  });

  test("may have a mebibyte", async () => {
    const text = "x".repeat(1024 * 1024 - 2);
    await writeFile(path, `"${text}"`);
    expect(await read()).toBe(text);
  });

  test("cannot be had through a symbolic link", async () => {
    await writeFile(join(folder, "secret"), "{}");
    await symlink(join(folder, "secret"), path);
    await expect(read()).rejects.toMatchObject({ code: "UNAVAILABLE", message: "integrity result unavailable" });
  });
});
