import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jsonArray } from "../../src/http/json-array.ts";
import type { Ask } from "../../src/http/route.ts";
import { whileStanding } from "../../src/http/standing.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { disableIdentity } from "../../src/registry/disable-identity.ts";
import { findById } from "../../src/registry/find-credential.ts";
import { revokeCredential, rotateKey } from "../../src/registry/credentials.ts";
import { keys } from "../../src/storage/keys.ts";
import { Browser } from "../support/browser.ts";
import { startEdge } from "../support/edge.ts";
import type { Known } from "../support/identities.ts";
import { type Answer, type WholeRegistry, basic, bearer, startWholeRegistry } from "../support/whole-registry.ts";

/** More than a body may take before it is asked whether its sender is still admitted, in milliseconds. */
const LONG = 1_500;

let registry: WholeRegistry;
let operator: Known;
let stolen: Known;
let publisher: Known;
beforeEach(async () => {
  registry = await startWholeRegistry();
  operator = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
  stolen = await registry.identity("stolen", [{ role: "operator", namespace: "*" }]);
  publisher = await registry.identity("publisher", [{ role: "publisher", namespace: "team" }]);
});
afterEach(async () => registry.close());

const ends: readonly (readonly [string, () => Promise<unknown>])[] = [
  ["its key was revoked", () => revokeCredential(registry.services, operator.caller, stolen.id)],
  ["its key was rotated away", () => rotateKey(registry.services, operator.caller, stolen.id, { lifetime: 3600, overlap: 0 })],
  [
    "its identity was disabled",
    () => disableIdentity(registry.services, operator.caller, { name: "stolen", isDisabled: true, reason: "theft" }),
  ],
  [
    "its role was taken away",
    async () => registry.change({ put: [{ key: keys.identity("stolen"), value: { ...(await identityOf(stolen)), bindings: [] } }] }),
  ],
];

async function identityOf({ id }: Known): Promise<object> {
  const found = await findById(registry.services, id);
  return "refusal" in found ? {} : found.identity;
}

interface Slow {
  readonly who: Known;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly parts: readonly [string, string];
}

/** Sends a part of a body, and the other one when the sender has long been let in and something has happened meanwhile. */
async function slowly(
  { who, method, path, headers = {}, parts: [first, second] }: Slow,
  meanwhile: () => Promise<unknown>,
): Promise<Answer> {
  const body = new PassThrough();
  body.write(first);
  const answering = registry.ask(method, path, { as: bearer(who.secret), headers, body });
  while ((await registry.services.metadata.get(keys.credentialUse(who.id))) === undefined) await sleep(10);
  await sleep(LONG);
  await meanwhile();
  body.end(second);
  return answering;
}

const MAKES_A_KEY = {
  method: "POST",
  path: "/v1/credentials",
  parts: ['{"name":"later",', '"role":"operator","namespace":"*"}'],
} as const;

describe("a request whose body is long on its way", () => {
  test("does what it asks for while its sender is who it was", async () => {
    expect(await slowly({ who: stolen, ...MAKES_A_KEY }, async () => undefined)).toMatchObject({ status: 201 });
  });

  test.each(ends)("changes nothing when %s meanwhile, so that no thief keeps one in store", async (_, end) => {
    expect(await slowly({ who: stolen, ...MAKES_A_KEY }, end)).toMatchObject({ status: 403, code: "denied" });
    expect(await registry.services.metadata.get(keys.identity("later"))).toBeUndefined();
  });

  test("pushes neither a blob nor a manifest for whom a key was revoked meanwhile", async () => {
    const revoke = (): Promise<unknown> => revokeCredential(registry.services, operator.caller, publisher.id);
    const digest = digestOf("ab");
    const blob = { method: "POST", path: `/v2/team/m/blobs/uploads/?digest=${digest}`, parts: ["a", "b"] } as const;
    expect(await slowly({ who: publisher, ...blob }, revoke)).toMatchObject({ status: 403 });
    const other = await registry.key("publisher");
    const reads = await registry.ask("HEAD", `/v2/team/m/blobs/${digest}`, { as: basic("publisher", other.secret) });
    expect(reads.status).toBe(404);
  });

  test("may come from a session that ended meanwhile, and then changes nothing either", async () => {
    const browser = Browser.at(registry);
    await browser.signIn("stolen", stolen.secret);
    const { fields } = await browser.form("/ui/sessions", "/ui/sessions/end-all");
    const body = new PassThrough();
    body.write(`_csrf=${fields["_csrf"] ?? ""}`);
    const headers = { "Content-Type": "application/x-www-form-urlencoded", ...browser.cookieHeader, ...browser.own };
    const answering = registry.ask("POST", "/ui/sessions/end-all", { headers, body });
    await sleep(LONG);
    await revokeCredential(registry.services, operator.caller, stolen.id);
    body.end("&x=1");
    expect(await answering).toMatchObject({ status: 403 });
    expect((await registry.events()).filter(({ type }) => type === "credential.revoke")).toHaveLength(1);
  });
});

test("a list that is taken slowly ends when who takes it is turned out, and not before", async () => {
  const { promise: over, resolve: turnOut } = Promise.withResolvers<void>();
  let isOver = false;
  async function* items(): AsyncGenerator<string> {
    yield "1";
    await sleep(LONG);
    yield "2";
    await over;
    await sleep(LONG);
    yield "3";
  }
  const handle = (c: Ask): Response => {
    c.set("stillStands", async () => {
      if (isOver) throw new RegistryError("DENIED");
    });
    return jsonArray(c, whileStanding(c, items()));
  };
  const edge = await startEdge({ doors: [{ method: "GET", path: "/v1/list", action: "open", handle }] });
  try {
    const { body } = await fetch(`${edge.url}/v1/list`);
    const reader = (body ?? new ReadableStream<Uint8Array>()).getReader();
    let text = "";
    while (!text.includes("2")) text += Buffer.from((await reader.read()).value ?? []).toString();
    isOver = true;
    turnOut();
    await expect(reader.read()).rejects.toThrow("terminated");
  } finally {
    await edge.stop();
  }
});
