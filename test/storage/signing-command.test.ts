import { generateKeyPairSync, verify } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openKeyFiles } from "../../src/storage/key-files.ts";
import { openSigningCommand } from "../../src/storage/signing-command.ts";
import { SigningError } from "../../src/storage/signing-keys.ts";

const BYTES = Buffer.from("what is to be signed");
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const publicPem = publicKey.export({ type: "spki", format: "pem" });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-command-"));
  await writeFile(join(folder, "key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let commands = 0;
/** A program of these lines of JavaScript; `sign(input)` is there, and `input` is what it was given. */
async function program(body: string): Promise<string> {
  commands += 1;
  const path = join(folder, `command-${commands}`);
  const text = `#!${process.execPath}
const { sign: signWith } = require("node:crypto");
const { readFileSync } = require("node:fs");
const sign = (input) => signWith("sha256", input, readFileSync(${JSON.stringify(join(folder, "key.pem"))}));
const input = readFileSync(0);
${body}
`;
  await writeFile(path, text, { mode: 0o755 });
  return path;
}

async function signedBy(body: string, timeout?: number): Promise<Uint8Array> {
  const path = await program(body);
  const { given } = openSigningCommand({ path, publicPem, ...(timeout === undefined ? {} : { timeout }) }, openKeyFiles(folder, "unused"));
  if (given === undefined) throw new Error("no key is given");
  return given.sign(BYTES);
}

describe("a program that signs", () => {
  test("is handed the bytes, and what it gives back is the signature", async () => {
    const signature = await signedBy("process.stdout.write(sign(input));");
    expect(verify("sha256", BYTES, publicKey, signature)).toBe(true);
  });

  test.each([
    ["gives nothing", "", "no signature by the configured public key"],
    [
      "gives a signature of something else",
      'process.stdout.write(sign(Buffer.from("else")));',
      "no signature by the configured public key",
    ],
    ["fails after it has signed", "process.stdout.write(sign(input), () => process.exit(3));", "ended with 3"],
    ["gives far too much", "process.stdout.write(Buffer.alloc(1_000_000)); setInterval(() => undefined, 1000);", "more than 1024 bytes"],
    ["is killed", 'process.kill(process.pid, "SIGKILL");', "ended with SIGKILL"],
  ])("that %s is refused", async (_, body, message) => {
    await expect(signedBy(body)).rejects.toThrow(message);
    await expect(signedBy(body)).rejects.toBeInstanceOf(SigningError);
  });

  test("that does not end in its time is ended, with what it has started", async () => {
    const started = 'const { spawn } = require("node:child_process"); spawn("sleep", ["1000"], { stdio: "inherit" });';
    await expect(signedBy(`${started} setInterval(() => undefined, 1000);`, 500)).rejects.toThrow("took more than 500 ms");
  });

  test("that cannot be run is refused", async () => {
    const { given } = openSigningCommand({ path: join(folder, "none"), publicPem }, openKeyFiles(folder, "unused"));
    await expect(given?.sign(BYTES)).rejects.toThrow("cannot be run");
  });

  test("is asked for one thing after the other, and a bounded number waits", async () => {
    const { given } = openSigningCommand({ path: "false", publicPem }, openKeyFiles(folder, "unused"));
    if (given === undefined) throw new Error("no key is given");
    const failures = await Promise.all(
      Array.from({ length: 66 }, () => given.sign(BYTES).then(String, (error: unknown) => (error instanceof Error ? error.message : ""))),
    );
    expect(failures.filter((message) => message === "the signing command ended with 1")).toHaveLength(64);
    expect(failures.filter((message) => message.startsWith("too many"))).toHaveLength(2);
    await expect(given.sign(BYTES)).rejects.toThrow("ended with 1");
  });
});

describe("the public key", () => {
  test.each([
    ["no key", "nonsense"],
    ["a key on another curve", generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ type: "spki", format: "pem" })],
    ["an Ed25519 key", generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" })],
  ])("may not be %s", (_, pem) => {
    const open = (): unknown => openSigningCommand({ path: "/bin/true", publicPem: pem }, openKeyFiles(folder, "unused"));
    expect(open).toThrow("ECDSA public key on P-256");
  });
});
