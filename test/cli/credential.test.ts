import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Search, findCredential } from "../../src/cli/credential.ts";
import { EXIT } from "../../src/cli/failure.ts";

const SERVER = new URL("http://127.0.0.1:8470");
const KEY = "amr_0123456789abcdefghijABCDEFGHIJ012345";
const OTHER_KEY = "amr_ZZZZZZZZZZabcdefghijABCDEFGHIJ012345";
/** Where a shell is found that runs the helper. */
const PATH = "/usr/local/bin:/usr/bin:/bin";
const SERVICE_TOKEN = "service-token-service-token-service-token";

let home: string;
let warnings: string[];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "securectl-credential-"));
  warnings = [];
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function write(name: string, content: string, mode = 0o600): Promise<string> {
  const path = join(home, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content, { mode });
  await chmod(path, mode);
  return path;
}

function find(over: Partial<Search> = {}, predecessorsToken = join(home, "none")): ReturnType<typeof findCredential> {
  const search = {
    server: SERVER,
    role: "operator" as const,
    distribution: false,
    tokenFile: undefined,
    stdin: Readable.from([]),
    warn: (message: string) => warnings.push(message),
    ...over,
    env: { HOME: home, REGISTRY_DIR: join(home, "data"), PATH, ...over.env },
  };
  return findCredential(search, predecessorsToken);
}

const auths = (user: string, secret: string): string =>
  JSON.stringify({ auths: { "127.0.0.1:8470": { auth: Buffer.from(`${user}:${secret}`).toString("base64") } } });

test("without any there is none", async () => {
  expect(await find()).toBeUndefined();
});

test("the token file comes before everything", async () => {
  const tokenFile = await write("key", `${KEY}\n`);
  const env = { SECURECTL_TOKEN: OTHER_KEY, SERVICE_TOKEN_PATH: await write("token", SERVICE_TOKEN) };
  expect(await find({ tokenFile, env })).toEqual({ kind: "token", secret: KEY, source: tokenFile, found: "given" });
});

test("the token comes from standard input when the token file is -", async () => {
  expect(await find({ tokenFile: "-", stdin: Readable.from([`${KEY}\n`]) })).toMatchObject({ secret: KEY });
});

test("SECURECTL_TOKEN comes before SERVICE_TOKEN_PATH, and that before a login and the registry's own files", async () => {
  await write(".docker/config.json", auths("alice", OTHER_KEY));
  await write("data/credentials/operator", KEY);
  const env = { SERVICE_TOKEN_PATH: await write("token", SERVICE_TOKEN) };
  expect(await find({ env: { ...env, SECURECTL_TOKEN: OTHER_KEY } })).toMatchObject({ secret: OTHER_KEY, source: "SECURECTL_TOKEN" });
  expect(await find({ env })).toMatchObject({ secret: SERVICE_TOKEN, source: env.SERVICE_TOKEN_PATH });
});

test("a transfer does not show the service token where it is unknown, but an API key in its place", async () => {
  const path = await write("token", SERVICE_TOKEN);
  await write("data/credentials/publisher", KEY);
  const env = { SERVICE_TOKEN_PATH: path };
  expect(await find({ role: "publisher", distribution: true, env })).toMatchObject({ user: "publisher", secret: KEY });
  await write("token", OTHER_KEY);
  expect(await find({ role: "publisher", distribution: true, env })).toMatchObject({ secret: OTHER_KEY });
});

test("a transfer prefers the login of docker or podman to the registry's own files", async () => {
  await write(".docker/config.json", auths("alice", OTHER_KEY));
  await write("data/credentials/publisher", KEY);
  expect(await find({ role: "publisher", distribution: true })).toMatchObject({ kind: "password", user: "alice", secret: OTHER_KEY });
});

test("who logged in to push did not mean to promote as publisher: the operator's file comes first there", async () => {
  await write(".docker/config.json", auths("publisher", OTHER_KEY));
  expect(await find()).toMatchObject({ user: "publisher" });
  await write("data/credentials/operator", KEY);
  expect(await find()).toEqual({
    kind: "password",
    user: "operator",
    secret: KEY,
    source: join(home, "data/credentials/operator"),
    found: "looked for",
  });
});

test("the predecessor's commands find its token where it was, then with the registry's own files, and show it as it did", async () => {
  const predecessors = join(home, "run/service-token");
  const own = await write("data/credentials/service-token", SERVICE_TOKEN);
  await write("data/credentials/operator", KEY);
  const search = { role: "service-token" } as const;
  expect(await find(search, predecessors)).toEqual({ kind: "token", secret: SERVICE_TOKEN, source: own, found: "looked for" });
  const other = await write("run/service-token", OTHER_KEY);
  expect(await find(search, predecessors)).toMatchObject({ secret: OTHER_KEY, source: other });
  expect(await find({}, predecessors)).toMatchObject({ user: "operator" });
  expect(await find({ ...search, server: new URL("https://registry.example") }, predecessors)).toBeUndefined();
});

test("the registry's own files are shown to no other host", async () => {
  await write("data/credentials/operator", KEY);
  expect(await find({ server: new URL("https://registry.example") })).toBeUndefined();
});

test("podman's file comes before docker's, and one that is named alone counts", async () => {
  await write(".docker/config.json", auths("docker", OTHER_KEY));
  await write(".config/containers/auth.json", auths("podman", OTHER_KEY));
  expect(await find()).toMatchObject({ user: "podman" });
  const named = await write("named.json", auths("named", OTHER_KEY));
  expect(await find({ env: { REGISTRY_AUTH_FILE: named } })).toMatchObject({ user: "named", source: named });
});

test("an identity token is told from a password", async () => {
  await write(".docker/config.json", JSON.stringify({ auths: { "127.0.0.1:8470": { auth: "YWxpY2U6", identitytoken: "amrr_x" } } }));
  expect(await find()).toMatchObject({ kind: "refresh-token", secret: "amrr_x" });
});

test("a login to another registry, an empty file and one without logins are none", async () => {
  await write(".docker/config.json", JSON.stringify({ auths: { "registry.example": { auth: "YTpi" }, "127.0.0.1:8470": {} } }));
  await write(".config/containers/auth.json", "");
  expect(await find()).toBeUndefined();
});

test("a credential helper is asked by its protocol, and one that has nothing, or is not there, is none", async () => {
  const helper = await write(
    "bin/docker-credential-test",
    `#!/bin/sh\nread -r host\n[ "$1 $host" = "get 127.0.0.1:8470" ] || exit 1\necho '{"Username":"alice","Secret":"${OTHER_KEY}"}'\n`,
    0o700,
  );
  await write(".docker/config.json", JSON.stringify({ credsStore: "test" }));
  expect(await find({ env: { PATH: `${dirname(helper)}:${PATH}` } })).toMatchObject({
    user: "alice",
    secret: OTHER_KEY,
  });
  expect(await find()).toBeUndefined();
});

test("a helper whose name leads elsewhere is not run", async () => {
  await write(".docker/config.json", JSON.stringify({ credsStore: "../../bin/evil" }));
  await expect(find()).rejects.toMatchObject({ exit: EXIT.authentication });
});

test("an auth file that cannot be read as one is told without its content", async () => {
  await write(".docker/config.json", `{"auths":{"127.0.0.1:8470":{"auth": ${OTHER_KEY}`);
  await expect(find()).rejects.toMatchObject({ exit: EXIT.authentication, message: expect.not.stringContaining(OTHER_KEY) as string });
});

test.each([
  ["is not there", async () => join(home, "none")],
  ["is writable by others", () => write("key", KEY, 0o602)],
  ["is too short to be a token", () => write("key", "short")],
  ["holds more than one line", () => write("key", `${KEY}\n${OTHER_KEY}\n`)],
  ["is a folder", async () => home],
  [
    "is a symbolic link",
    async () => {
      await symlink(await write("target", KEY), join(home, "link"));
      return join(home, "link");
    },
  ],
])("a token file that %s is refused, without its content in the message", async (_, make) => {
  const tokenFile = await make();
  await expect(find({ tokenFile })).rejects.toMatchObject({
    exit: EXIT.authentication,
    message: expect.not.stringContaining(KEY) as string,
  });
});

test("a token file that others can read is accepted with a warning", async () => {
  const tokenFile = await write("key", KEY, 0o644);
  expect(await find({ tokenFile })).toMatchObject({ secret: KEY });
  expect(warnings).toEqual([expect.stringContaining("chmod 600")]);
});

test("a variable that cannot be a token is refused without its content", async () => {
  await expect(find({ env: { SECURECTL_TOKEN: "two words" } })).rejects.toMatchObject({
    exit: EXIT.authentication,
    message: expect.not.stringContaining("two") as string,
  });
});
