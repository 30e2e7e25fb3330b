import { chmod, mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSecret } from "../../src/identity/api-key.ts";
import { findBySecret } from "../../src/registry/find-credential.ts";
import { firstStart } from "../../src/registry/first-start.ts";
import { findIdentity } from "../../src/registry/identities.ts";
import { findNamespace } from "../../src/registry/namespaces.ts";
import { recoverOperator } from "../../src/registry/recover.ts";
import { placeOfServiceToken } from "../../src/registry/service-token.ts";
import { type Identities, startIdentities } from "../support/identities.ts";

let store: Identities;
let folder: string;
beforeEach(async () => {
  store = await startIdentities();
  folder = join(store.directory, "credentials");
});
afterEach(async () => store.close());

const start = (makable = true): ReturnType<typeof firstStart> =>
  firstStart(store.services, folder, { path: join(folder, "service-token"), makable });
const read = async (name: string): Promise<string> => readFile(join(folder, name), "utf8");
const opens = async (name: string): Promise<unknown> => {
  const found = await findBySecret(store.services, "api-key", (await read(name)).trim());
  return "refusal" in found ? found.refusal : found.identity.name;
};

describe("firstStart", () => {
  test("makes three identities with keys of their own, the namespace and the service token", async () => {
    expect(await start()).toEqual({ namespace: "models", identities: ["operator", "publisher", "runtime"], credentialsFolder: folder });
    expect((await readdir(folder)).toSorted()).toEqual(["operator", "publisher", "runtime", "service-token"]);
    for (const name of ["operator", "publisher", "runtime"]) expect(await opens(name)).toBe(name);
    const bindings = async (name: string): Promise<unknown> => (await findIdentity(store.services, name))?.record.bindings;
    expect(await bindings("operator")).toEqual([{ role: "operator", namespace: "*" }]);
    expect(await bindings("publisher")).toEqual([{ role: "owner", namespace: "models" }]);
    expect(await bindings("runtime")).toEqual([{ role: "reader", namespace: "*" }]);
    expect((await findNamespace(store.services, "models"))?.record.owner).toBe("publisher");
  });

  test("writes one secret a file, on one line, for its owner alone", async () => {
    await start();
    for (const name of await readdir(folder)) {
      expect(await read(name)).toMatch(/^[0-9A-Za-z_]{40,}\n$/);
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await read("service-token")).toMatch(/^[0-9a-f]{64}\n$/);
  });

  test("answers and records no secret", async () => {
    const answer = JSON.stringify(await start());
    const events = JSON.stringify(await store.events());
    for (const name of await readdir(folder)) {
      const secret = (await read(name)).trim();
      expect(answer).not.toContain(secret);
      expect(events).not.toContain(secret);
    }
    expect((await store.events()).map(({ type }) => type).toSorted()).toEqual([
      "credential.create",
      "credential.create",
      "credential.create",
      "identity.create",
      "identity.create",
      "identity.create",
      "namespace.create",
    ]);
  });

  test("does nothing where there is an identity, so that files that were moved away stay away", async () => {
    await start();
    await rename(join(folder, "operator"), join(store.directory, "elsewhere"));
    await rm(join(folder, "service-token"));
    expect(await start()).toBeUndefined();
    expect((await readdir(folder)).toSorted()).toEqual(["publisher", "runtime"]);
  });

  test("goes on with the keys that a start which was cut off has left", async () => {
    const key = createSecret("api-key", store.services.random);
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, "publisher"), `${key}\n`, { mode: 0o600 });
    await start();
    expect((await read("publisher")).trim()).toBe(key);
    expect(await opens("publisher")).toBe("publisher");
    expect(await opens("operator")).toBe("operator");
  });

  test.each([
    ["is no key", "not an API key but long enough for one, with spaces", 0o600],
    ["is another secret", "x".repeat(40), 0o600],
    ["others can read", createSecret("api-key", (bytes) => new Uint8Array(bytes)), 0o644],
  ])("refuses a file that %s, and makes nothing", async (_, text, mode) => {
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, "publisher"), text);
    await chmod(join(folder, "publisher"), mode);
    await expect(start()).rejects.toThrow("publisher");
    expect(await findIdentity(store.services, "operator")).toBeUndefined();
  });

  test("leaves a service token alone that is there, and one that was put elsewhere", async () => {
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, "service-token"), `${"t".repeat(40)}\n`, { mode: 0o600 });
    await start();
    expect((await read("service-token")).trim()).toBe("t".repeat(40));
    await rm(folder, { recursive: true });
    await store.close();
    store = await startIdentities();
    folder = join(store.directory, "credentials");
    await start(false);
    expect((await readdir(folder)).toSorted()).toEqual(["operator", "publisher", "runtime"]);
  });
});

describe("recoverOperator", () => {
  test("makes another operator key beside the old one, audited", async () => {
    await start();
    const old = (await read("operator")).trim();
    const path = await recoverOperator(store.services, folder);
    expect(path).toBe(join(folder, "operator"));
    expect((await read("operator")).trim()).not.toBe(old);
    expect(await opens("operator")).toBe("operator");
    expect(await findBySecret(store.services, "api-key", old)).toHaveProperty("identity");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await store.events()).at(-1)).toMatchObject({ type: "operator.recover", actor: { principal: "system" } });
  });

  test("brings back an operator that is disabled or has lost its role", async () => {
    await store.identity("operator", [{ role: "reader", namespace: "*" }], { disabled: true });
    await recoverOperator(store.services, folder);
    expect(await opens("operator")).toBe("operator");
    expect((await findIdentity(store.services, "operator"))?.record.bindings).toContainEqual({ role: "operator", namespace: "*" });
  });

  test("makes an operator where there is none", async () => {
    await recoverOperator(store.services, folder);
    expect(await opens("operator")).toBe("operator");
  });
});

describe("placeOfServiceToken", () => {
  let predecessors: string;
  let own: string;
  beforeEach(() => {
    predecessors = join(store.directory, "run-service-token");
    own = join(folder, "service-token");
  });

  test("is the configured path, which is never made", async () => {
    expect(await placeOfServiceToken("/somewhere/else", own, predecessors)).toEqual({ path: "/somewhere/else", makable: false });
  });

  test("is our own where nothing is configured and the predecessor has left none", async () => {
    expect(await placeOfServiceToken(undefined, own, predecessors)).toEqual({ path: own, makable: true });
  });

  test("is the predecessor's where that holds one", async () => {
    await writeFile(predecessors, "t".repeat(40), { mode: 0o600 });
    expect(await placeOfServiceToken(undefined, own, predecessors)).toEqual({ path: predecessors, makable: false });
  });

  test("refuses a predecessor's that somebody else could have put there", async () => {
    await writeFile(join(store.directory, "target"), "t".repeat(40), { mode: 0o600 });
    await symlink(join(store.directory, "target"), predecessors);
    await expect(placeOfServiceToken(undefined, own, predecessors)).rejects.toThrow("symbolic link");
  });
});
