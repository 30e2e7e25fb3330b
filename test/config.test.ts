import { chmod, chown, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Config, ConfigError, loadConfig, loadDataDirectory } from "../src/config.ts";
import { DEFAULT_BOUNDS } from "../src/limits/keeper.ts";
import { settingsTable } from "../src/settings.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-config-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Environment = Readonly<Record<string, string>>;

function refusal(env: Environment): readonly string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.reasons;
    throw error;
  }
}

let files = 0;
async function fromFile(yaml: string, env: Environment = {}): Promise<Environment> {
  files += 1;
  const path = join(folder, `${files}.yaml`);
  await writeFile(path, yaml);
  return { ...env, REGISTRY_CONFIG: path };
}

const PROXY = { TLS_TERMINATED_BY_PROXY: "true", PUBLIC_URL: "https://registry.example" };

const TOKEN = {
  REGISTRY_SIGN_TOKEN_MODULE: "/usr/lib/module.so",
  REGISTRY_SIGN_TOKEN_LABEL: "registry",
  REGISTRY_SIGN_TOKEN_KEY_ID: "0a01",
  REGISTRY_SIGN_TOKEN_PIN_PATH: "pin",
};

describe("without any setting", () => {
  test("the registry listens on loopback over ./data, and everything else has its default", () => {
    expect(loadConfig({})).toEqual<Config>({
      bind: { host: "127.0.0.1", port: 8470 },
      dataDirectory: resolve("data"),
      serviceTokenPath: undefined,
      lockPath: "/etc/secure-ai/policy/models.lock.yaml",
      integrityResultPath: resolve("data/integrity-last.json"),
      insecureDevMode: false,
      allowLegacyMigration: false,
      publicUrl: undefined,
      tls: undefined,
      tlsTerminatedByProxy: false,
      workers: availableParallelism(),
      logLevel: "info",
      duties: "standard",
      promotionPolicy: "closure",
      signing: undefined,
      signingPassphrasePath: undefined,
      minUploadRate: 4096,
      verifyRate: 52_428_800,
      trustedProxies: [],
      limits: DEFAULT_BOUNDS,
      quota: { bytes: null, artifacts: null, manifests: null, tags: null, uploads: 256 },
      metrics: undefined,
      times: {
        uploadExpiry: 7 * 86_400_000,
        uploadWindow: 30_000,
        collectInterval: 3_600_000,
        collectGrace: 86_400_000,
        snapshotLifetime: 30 * 86_400_000,
        verifyInterval: 604_800_000,
        workerTimeout: 60_000,
        shutdownGrace: 30_000,
        headers: 30_000,
        keepAlive: 75_000,
        idle: 120_000,
      },
    });
  });

  test("an empty variable is one that is not set, and variables of others are none of ours", () => {
    expect(loadConfig({ TLS_CERT_PATH: "", WORKERS: "", PATH: "/bin", REGISTRY_URL: "http://127.0.0.1:1" })).toEqual(loadConfig({}));
  });
});

describe("file and environment", () => {
  test("have the same settings; the environment wins", async () => {
    const env = await fromFile("bind_addr: '[::1]:0'\nworkers: 3\nregistry_duties: strict\ntls_terminated_by_proxy: true\n", {
      WORKERS: "5",
    });
    const { bind, workers, duties, tlsTerminatedByProxy } = loadConfig(env);
    expect({ bind, workers, duties, tlsTerminatedByProxy }).toEqual({
      bind: { host: "::1", port: 0 },
      workers: 5,
      duties: "strict",
      tlsTerminatedByProxy: true,
    });
  });

  test("an empty file is none", async () => {
    expect(loadConfig(await fromFile("# nothing\n"))).toEqual(loadConfig({}));
  });

  test.each([
    ["an unknown key", "bind_adr: 127.0.0.1:1\n", /unknown in the file: bind_adr/],
    ["a key twice", "workers: 1\nworkers: 2\n", /cannot be used/],
    ["no mapping", "- workers\n", /must be a YAML mapping/],
    ["no YAML", "workers: [\n", /cannot be used/],
    ["an alias", "workers: &a 1\nlog_level: *a\n", /cannot be used/],
    ["a key of every object", "constructor: 1\n", /unknown in the file: constructor/],
  ])("a file with %s is refused", async (_, yaml, words) => {
    expect(refusal(await fromFile(yaml))).toEqual([expect.stringMatching(words)]);
  });

  test("a file that is not there is refused", () => {
    expect(refusal({ REGISTRY_CONFIG: join(folder, "none") })).toEqual(["REGISTRY_CONFIG: the file cannot be used (ENOENT)"]);
  });

  test.each([0o666, 0o660, 0o606])("a file with the mode %o is refused, since it names programs that are run", async (mode) => {
    const env = await fromFile("workers: 3\n");
    await chmod(env["REGISTRY_CONFIG"] ?? "", mode);
    expect(refusal(env)).toEqual(["REGISTRY_CONFIG: the file can be written by others: take that away with chmod go-w"]);
  });

  test.runIf(process.getuid?.() === 0)("a file of another user is refused", async () => {
    const env = await fromFile("workers: 3\n");
    await chown(env["REGISTRY_CONFIG"] ?? "", 65_534, 65_534);
    expect(refusal(env)).toEqual(["REGISTRY_CONFIG: the file belongs to another user: give it to root or to the registry's user"]);
  });

  test("a file behind a symbolic link is judged as what it is, and a folder is none", async () => {
    const env = await fromFile("workers: 3\n");
    const link = join(folder, "link.yaml");
    await symlink(env["REGISTRY_CONFIG"] ?? "", link);
    expect(loadConfig({ REGISTRY_CONFIG: link }).workers).toBe(3);
    await chmod(env["REGISTRY_CONFIG"] ?? "", 0o666);
    expect(refusal({ REGISTRY_CONFIG: link })).toEqual([expect.stringMatching(/can be written by others/)]);
    expect(refusal({ REGISTRY_CONFIG: folder })).toEqual(["REGISTRY_CONFIG: the file is not a regular file"]);
  });

  test("variables that belong to other programs are left alone: securectl's, and those of podman and its kin", () => {
    expect(loadConfig({ REGISTRY_URL: "http://127.0.0.1:8470", REGISTRY_AUTH_FILE: "/run/auth.json" }).bind.port).toBe(8470);
  });

  test("an unknown variable that begins with REGISTRY_ is refused", () => {
    expect(refusal({ REGISTRY_DIRECTORY: "x", REGISTRY_PORT: "tcp://10.0.0.1:80" })).toEqual([
      expect.stringMatching(/^unknown in the environment: REGISTRY_DIRECTORY, REGISTRY_PORT .*enableServiceLinks/),
    ]);
  });
});

describe("what cannot be understood is refused", () => {
  test.each([
    ["BIND_ADDR", "127.0.0.1"],
    ["BIND_ADDR", "127.0.0.1:65536"],
    ["BIND_ADDR", "127.0.0.1:x"],
    ["BIND_ADDR", "a b:1"],
    ["BIND_ADDR", "*:8470"],
    ["REGISTRY_DIR", "a\0b"],
    ["INSECURE_DEV_MODE", "1"],
    ["INSECURE_DEV_MODE", "TRUE"],
    ["INSECURE_DEV_MODE", "false"],
    ["ALLOW_LEGACY_MANIFEST_MIGRATION", "1"],
    ["ALLOW_LEGACY_MANIFEST_MIGRATION", "false"],
    ["PUBLIC_URL", "registry.example"],
    ["PUBLIC_URL", "ftp://registry.example"],
    ["PUBLIC_URL", "https://registry.example/path"],
    ["PUBLIC_URL", "https://registry.example/?q"],
    ["PUBLIC_URL", "https://user:secret@registry.example"],
    ["TLS_TERMINATED_BY_PROXY", "yes"],
    ["WORKERS", "0"],
    ["WORKERS", "257"],
    ["WORKERS", "1.5"],
    ["LOG_LEVEL", "loud"],
    ["REGISTRY_DUTIES", "none"],
    ["REGISTRY_PROMOTION_POLICY", "none"],
    ["REGISTRY_PROMOTION_POLICY", "Predecessor-Evidence"],
    ["REGISTRY_UPLOAD_EXPIRY", "7"],
    ["REGISTRY_UPLOAD_EXPIRY", "0s"],
    ["REGISTRY_UPLOAD_EXPIRY", "366d"],
    ["REGISTRY_VERIFY_INTERVAL", "00"],
    ["REGISTRY_VERIFY_INTERVAL", "never"],
    ["REGISTRY_VERIFY_RATE", "1MB"],
    ["REGISTRY_SIGN_TOKEN_KEY_ID", "0x01"],
    ["REGISTRY_SIGN_TOKEN_LABEL", "a\nb"],
    ["REGISTRY_MIN_UPLOAD_RATE", "-1"],
    ["REGISTRY_MAX_CONNECTIONS", "0"],
    ["REGISTRY_MAX_CONNECTIONS_PER_ADDRESS", "0"],
  ])("%s=%j, by a reason that names the setting and not the value", (name, value) => {
    const reasons = refusal({ [name]: value });
    expect(reasons).toEqual([expect.stringMatching(new RegExp(`^${name}: `))]);
    expect(reasons.join()).not.toContain("secret");
  });

  test.each(["WORKERS", "REGISTRY_VERIFY_RATE", "REGISTRY_QUOTA_BYTES", "REGISTRY_MAX_CONNECTIONS"])("%s=many, by the bounds", (name) => {
    expect(refusal({ [name]: "many" })).toEqual([expect.stringMatching(new RegExp(`^${name}: must be a whole number from \\d+ to \\d+$`))]);
  });

  test("whatever it is: text in any setting is taken or refused, and nothing else happens", () => {
    const names = fc.constantFrom(...settingsTable().map(({ name }) => name));
    const check = fc.check(
      fc.property(fc.dictionary(names, fc.oneof(fc.string(), fc.constantFrom("true", "1s", "1", "a:1", "https://a"))), (env) =>
        Array.isArray(refusal(env)),
      ),
    );
    expect(check).toMatchObject({ failed: false });
  });
});

test("a key in a token is named by module, label, id and the file of its PIN; its program by a path, or a name to be looked for", () => {
  const named = { by: "token", module: "/usr/lib/module.so", token: "registry", keyId: "0a01", pin: resolve("pin") };
  expect(loadConfig(TOKEN).signing).toEqual({ ...named, tool: "pkcs11-tool" });
  expect(loadConfig({ ...TOKEN, REGISTRY_SIGN_TOKEN_TOOL: "./tool" }).signing).toEqual({ ...named, tool: resolve("tool") });
  expect(loadConfig({ REGISTRY_SIGN_COMMAND: "c", REGISTRY_SIGN_PUBLIC_KEY: "k" }).signing).toEqual({
    by: "command",
    command: resolve("c"),
    publicKey: resolve("k"),
  });
});

describe("what is unsafe is refused", () => {
  test.each<[string, Environment, RegExp]>([
    ["a bind off loopback without TLS", { BIND_ADDR: "10.0.0.1:1" }, /^BIND_ADDR: an address off loopback needs/],
    ["a name that could resolve to anything", { BIND_ADDR: "registry:1" }, /^BIND_ADDR: an address off loopback needs/],
    ["a name that only looks like loopback", { BIND_ADDR: "127.0.0.1.example:1" }, /^BIND_ADDR: an address off loopback needs/],
    ["every interface without PUBLIC_URL", { BIND_ADDR: "0.0.0.0:1", TLS_CERT_PATH: "c", TLS_KEY_PATH: "k" }, /needs PUBLIC_URL/],
    ["a certificate without a key", { TLS_CERT_PATH: "c" }, /^TLS_CERT_PATH, TLS_KEY_PATH/],
    ["a key without a certificate", { TLS_KEY_PATH: "k" }, /^TLS_CERT_PATH, TLS_KEY_PATH/],
    ["credentials over plain http", { PUBLIC_URL: "http://registry.example" }, /^PUBLIC_URL: must be https/],
    ["plain http beside TLS", { PUBLIC_URL: "http://127.0.0.1", TLS_CERT_PATH: "c", TLS_KEY_PATH: "k" }, /^PUBLIC_URL: must be https/],
    ["a proxy whose address is unknown", { BIND_ADDR: "10.0.0.1:1", TLS_TERMINATED_BY_PROXY: "true" }, /needs PUBLIC_URL/],
    ["a token without its key", { REGISTRY_SIGN_TOKEN_MODULE: "m", REGISTRY_SIGN_TOKEN_LABEL: "l" }, /set all or none$/],
    ["two keys that sign", { ...TOKEN, REGISTRY_SIGN_COMMAND: "c", REGISTRY_SIGN_PUBLIC_KEY: "k" }, /set one of them$/],
    ["development mode off loopback", { ...PROXY, BIND_ADDR: "10.0.0.1:1", INSECURE_DEV_MODE: "true" }, /^INSECURE_DEV_MODE/],
    ["development mode behind a public name", { PUBLIC_URL: "https://registry.example", INSECURE_DEV_MODE: "true" }, /^INSECURE_DEV_MODE/],
  ])("%s", (_, env, words) => {
    expect(refusal(env)).toEqual([expect.stringMatching(words)]);
  });

  test.each(["0.0.0.0:1", "[::]:1", ":1", "[0:0:0:0:0:0:0:0]:1"])("%s is every interface", (bind) => {
    expect(refusal({ BIND_ADDR: bind, TLS_CERT_PATH: "c", TLS_KEY_PATH: "k" })).toEqual([expect.stringMatching(/needs PUBLIC_URL/)]);
  });

  test("with all reasons at once, of the file and the environment", async () => {
    const env = await fromFile("nonsense: 1\nworkers: many\n", {
      BIND_ADDR: "0.0.0.0:1",
      TLS_KEY_PATH: "k",
      REGISTRY_X: "1",
      LOG_LEVEL: "loud",
    });
    const reasons = refusal(env);
    for (const part of [
      "REGISTRY_X",
      "nonsense",
      "WORKERS",
      "LOG_LEVEL",
      "TLS_CERT_PATH, TLS_KEY_PATH",
      "off loopback",
      "every interface",
    ]) {
      expect(reasons).toContainEqual(expect.stringContaining(part));
    }
    expect(reasons).toHaveLength(7);
  });
});

describe("what is safe starts", () => {
  test.each<[string, Environment]>([
    ["loopback, by any of its names", { BIND_ADDR: "localhost:1" }],
    ["loopback of IPv6", { BIND_ADDR: "[::1]:1" }],
    ["loopback beyond the first address", { BIND_ADDR: "127.8.9.10:1" }],
    ["every interface behind a proxy", { ...PROXY, BIND_ADDR: "0.0.0.0:1" }],
    [
      "every interface by the predecessor's name",
      { BIND_ADDR: "0.0.0.0:1", ALLOW_REMOTE_BIND: "true", PUBLIC_URL: "https://registry.example" },
    ],
    ["every interface, published on loopback", { BIND_ADDR: ":1", ALLOW_REMOTE_BIND: "true", PUBLIC_URL: "http://127.0.0.1:1" }],
    ["one address with TLS", { BIND_ADDR: "10.0.0.1:1", TLS_CERT_PATH: "c", TLS_KEY_PATH: "k" }],
    ["development mode on loopback", { INSECURE_DEV_MODE: "true" }],
    ["belief in a manifest without history", { ALLOW_LEGACY_MANIFEST_MIGRATION: "true" }],
  ])("%s", (_, env) => {
    expect(refusal(env)).toEqual([]);
  });

  test("ALLOW_REMOTE_BIND is taken as TLS_TERMINATED_BY_PROXY, and PUBLIC_URL loses its slash", () => {
    const config = loadConfig({ ALLOW_REMOTE_BIND: "true", PUBLIC_URL: "https://registry.example/" });
    expect([config.tlsTerminatedByProxy, config.publicUrl]).toEqual([true, "https://registry.example"]);
  });

  test.each([
    ["250ms", 250],
    ["90s", 90_000],
    ["15m", 900_000],
    ["24h", 86_400_000],
    ["365d", 31_536_000_000],
  ])("%s is %i milliseconds", (text, milliseconds) => {
    expect(loadConfig({ REGISTRY_GC_GRACE: text }).times.collectGrace).toBe(milliseconds);
  });
});

test.each([
  ["in the environment", async () => ({ REGISTRY_VERIFY_INTERVAL: "0" })],
  ["in the file", () => fromFile("registry_verify_interval: 0\n")],
])("the check of all blobs that nobody asks for can be left out, %s", async (_, env) => {
  expect(loadConfig(await env()).times.verifyInterval).toBe(0);
});

test.each(["SHUTDOWN_GRACE", "UPLOAD_WINDOW", "HEADERS_TIMEOUT", "KEEP_ALIVE_TIMEOUT", "IDLE_TIMEOUT"])(
  "REGISTRY_%s is refused beyond what a timer can wait for, where it would fire at once",
  (name) => {
    expect(() => loadConfig({ [`REGISTRY_${name}`]: "24d" })).not.toThrow();
    expect(() => loadConfig({ [`REGISTRY_${name}`]: "25d" })).toThrow("at most 24d");
  },
);

test.each(["0.0.0.0/0", "10.0.0.0/33", "proxy.example", "2001:db8::/129", "::/0"])("%s is no proxy to be trusted", (range) => {
  expect(refusal({ REGISTRY_TRUSTED_PROXIES: `10.0.0.1,${range}` })).toEqual([
    expect.stringMatching(/^REGISTRY_TRUSTED_PROXIES: must be addresses/),
  ]);
});

test("limits are rates, quotas and proxies in words that are understood", () => {
  const { limits, quota, trustedProxies } = loadConfig({
    REGISTRY_LIMIT_MUTATE: "7/70",
    REGISTRY_QUOTA_TAGS: "5",
    REGISTRY_TRUSTED_PROXIES: "10.0.0.0/8, 2001:db8::1",
  });
  expect([limits.rates.mutate, quota.tags]).toEqual([{ perSecond: 7, burst: 70 }, 5]);
  expect(trustedProxies).toEqual([
    { address: "10.0.0.0", prefix: 8 },
    { address: "2001:db8::1", prefix: 128 },
  ]);
  for (const rate of ["0/5", "5", "5/0", "1.5/3", "2000000/1"]) expect(refusal({ REGISTRY_LIMIT_MUTATE: rate })).toHaveLength(1);
});

test("a command that serves nobody finds the data directory without what only serving asks for, and refuses what it does not know", () => {
  const image = { BIND_ADDR: "0.0.0.0:8470", REGISTRY_DIR: "/registry" };
  expect(refusal(image)).toHaveLength(2);
  expect(loadDataDirectory(image)).toBe("/registry");
  expect(() => loadDataDirectory({ ...image, REGISTRY_DIRECTORY: "/elsewhere" })).toThrow("unknown in the environment");
});

test("every setting has a meaning for the documentation", () => {
  for (const { name, fallback, meaning } of settingsTable()) {
    expect(name).toMatch(/^[A-Z_]+$/);
    expect(fallback.length).toBeGreaterThan(0);
    expect(meaning.length).toBeGreaterThan(10);
  }
});
