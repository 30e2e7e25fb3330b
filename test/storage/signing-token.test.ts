import { generateKeyPairSync, verify } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openKeyFiles } from "../../src/storage/key-files.ts";
import { SigningError, type SigningKeys } from "../../src/storage/signing-keys.ts";
import { openSigningToken } from "../../src/storage/signing-token.ts";

// Every answer is a program of its own. The token itself, SoftHSM behind OpenSC's tool, is in conformance/token-signing.ts.
vi.setConfig({ testTimeout: 60_000 });

const PROGRAM = fileURLToPath(new URL("../support/token-program.ts", import.meta.url));
const BYTES = Buffer.from("what is to be signed");
const PIN = "1234-secret";
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-token-"));
  await writeFile(join(folder, "key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  const other = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
  await writeFile(join(folder, "p384.pem"), other.export({ type: "pkcs8", format: "pem" }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Call {
  readonly args: readonly string[];
  readonly pin: string | null;
  readonly input: number;
}

/** A token behind a program that answers as the tool does, or spoils its answers. */
class Token {
  static #made = 0;
  readonly tool: string;

  private constructor(tool: string) {
    this.tool = tool;
  }

  static async made(spoiled: object = {}, key = "key.pem"): Promise<Token> {
    Token.#made += 1;
    const token = new Token(join(folder, `tool-${Token.#made}`));
    const fixed = [PROGRAM, join(folder, key), `${token.tool}.calls`, JSON.stringify(spoiled)].map((each) => `'${each}'`).join(" ");
    await writeFile(token.tool, `#!/bin/sh\nexec '${process.execPath}' ${fixed} "$@"\n`, { mode: 0o755 });
    return token;
  }

  open(over: { readonly timeout?: number; readonly tool?: string } = {}): Promise<SigningKeys> {
    const key = { tool: this.tool, module: "/usr/lib/module.so", token: "registry", keyId: "01", pin: PIN, ...over };
    return openSigningToken(key, openKeyFiles(folder, "unused"));
  }

  async calls(): Promise<readonly Call[]> {
    const text = await readFile(`${this.tool}.calls`, "utf8");
    return text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Call);
  }
}

describe("a key in a token", () => {
  test("signs, and is known by the public key that the token gives", async () => {
    const { given } = await (await Token.made()).open();
    expect(given?.publicPem).toBe(publicKey.export({ type: "spki", format: "pem" }));
    for (let time = 0; time < 3; time += 1) {
      expect(verify("sha256", BYTES, publicKey, (await given?.sign(BYTES)) ?? new Uint8Array())).toBe(true);
    }
  });

  test("is asked for by its id, a digest at a time, and no command line has the PIN", async () => {
    const token = await Token.made();
    const { given } = await token.open();
    await given?.sign(BYTES);
    const calls = await token.calls();
    // It was read, tried at once, and used once.
    expect(calls.map(({ pin, input }) => [pin, input])).toEqual([
      [null, 0],
      [PIN, 32],
      [PIN, 32],
    ]);
    for (const { args } of calls) {
      expect(args.slice(0, 4)).toEqual(["--module", "/usr/lib/module.so", "--token-label", "registry"]);
      expect(args.slice(-2)).toEqual(["--id", "01"]);
      expect(args.join(" ")).not.toContain(PIN);
    }
  });

  test("is read with the PIN where the token shows its public keys to nobody else", async () => {
    const token = await Token.made({ readWithoutPin: "error: object not found\n" });
    expect((await token.open()).given?.publicPem).toBe(publicKey.export({ type: "spki", format: "pem" }));
  });

  test.each([
    ["no token of this label", { read: 'No slot with token named "registry" found\n' }, "finds no token with the label registry"],
    [
      "no module",
      { read: "sc_dlopen failed: /usr/lib/module.so\nerror: Failed to load pkcs11 module\n" },
      "module /usr/lib/module.so cannot be loaded",
    ],
    ["no key of this id", { read: "error: object not found\n" }, "has no key with the id 01"],
    ["no private half", { sign: "error: Private key not found\n" }, "has no key with the id 01"],
    [
      "another PIN",
      { sign: "error: PKCS11 function C_Login failed: rv = CKR_PIN_INCORRECT (0xa0)\n" },
      "refuses the PIN (CKR_PIN_INCORRECT)",
    ],
    ["a token that is locked", { sign: "rv = CKR_PIN_LOCKED (0xa4)" }, "refuses the PIN (CKR_PIN_LOCKED)"],
    ["a device that fails", { sign: "error: C_Sign failed: rv = CKR_DEVICE_ERROR (0x30)\n" }, "failed with CKR_DEVICE_ERROR"],
    ["an error of another kind", { sign: "something else\n" }, "failed with exit code 1"],
    ["a signature of something else", { signsElse: true }, "no signature by its public key 01"],
    ["no signature", { answer: "" }, "no signature by its public key 01"],
    ["a signature of another length", { answer: Buffer.alloc(96).toString("base64") }, "no signature by its public key 01"],
    ["far too much", { answer: Buffer.alloc(10_000).toString("base64") }, "gave more than 1024 bytes"],
  ])("that has %s is refused at once, with the reason", async (_, spoiled, reason) => {
    const opened = (await Token.made(spoiled)).open();
    await expect(opened).rejects.toThrow(reason);
    await expect(opened).rejects.toBeInstanceOf(SigningError);
    await expect(opened).rejects.not.toThrow(PIN);
  });

  test("may not be on another curve", async () => {
    await expect((await Token.made({}, "p384.pem")).open()).rejects.toThrow("must be an ECDSA key on P-256");
  });

  test("whose program hangs is given up in its time", async () => {
    await expect((await Token.made({ hangs: true })).open({ timeout: 1_500 })).rejects.toThrow("took more than 1500 ms");
  });

  test("whose program is not there is refused", async () => {
    await expect((await Token.made()).open({ tool: join(folder, "none") })).rejects.toThrow("cannot be run");
  });

  test.each(["rv = CKR_GENERAL_ERROR", "rv = CKR_USER_PIN_NOT_INITIALIZED"])(
    "that fails for a moment (%s) is asked again, a bounded number of times",
    async (said) => {
      const token = await Token.made();
      const { given } = await token.open();
      const script = await readFile(token.tool, "utf8");
      const before = (await token.calls()).length;
      await writeFile(token.tool, script.replace("'{}'", `'${JSON.stringify({ sign: said })}'`));
      await expect(given?.sign(BYTES)).rejects.toThrow(said.replace("rv = ", ""));
      expect(await token.calls()).toHaveLength(before + 3);
      const signing = given?.sign(BYTES);
      await expect.poll(() => token.calls()).toHaveLength(before + 4);
      await writeFile(token.tool, script);
      expect(verify("sha256", BYTES, publicKey, (await signing) ?? Buffer.alloc(0))).toBe(true);
    },
  );

  test("whose PIN was refused is asked no more, since tokens lock themselves", async () => {
    const token = await Token.made();
    const { given } = await token.open();
    const script = await readFile(token.tool, "utf8");
    await writeFile(token.tool, script.replace("'{}'", `'{"sign":"rv = CKR_PIN_INCORRECT"}'`));
    const before = (await token.calls()).length;
    for (let time = 0; time < 3; time += 1) await expect(given?.sign(BYTES)).rejects.toThrow("it is not tried again");
    expect(await token.calls()).toHaveLength(before + 1);
  });
});
