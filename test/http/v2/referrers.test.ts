import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../../src/oci/media-types.ts";
import { type ContentRegistry, image, referrer, startContentRegistry } from "../../support/content-registry.ts";

let registry: ContentRegistry;

beforeAll(async () => {
  registry = await startContentRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

interface Listed {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly digests: readonly string[];
}

async function referrers(as: string, repository: string, subject: string, query = ""): Promise<Listed> {
  const answer = await registry.ask(as, `/v2/${repository}/referrers/${subject}${query}`);
  const text = await answer.text();
  const { manifests = [] } = JSON.parse(text) as { manifests?: { digest: string }[] };
  return { status: answer.status, headers: answer.headers, text, digests: manifests.map(({ digest }) => digest) };
}

/** All of an answer but what differs from request to request. */
const comparable = ({ status, text, headers }: Listed): unknown => ({
  status,
  text,
  headers: [...headers].filter(([name]) => name !== "date" && name !== "x-request-id"),
});

const EMPTY = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
const NOWHERE = digestOf("nowhere");

describe("GET referrers", () => {
  test.each([
    ["a repository that nobody knows", "models/unknown", NOWHERE],
    ["a namespace where the caller has nothing", "elsewhere/x", NOWHERE],
    ["a sha512 digest", "models/unknown", digestOf("nowhere", "sha512")],
  ])("answers 200 and an empty index for %s", async (_, repository, subject) => {
    const { status, headers, text } = await referrers("publisher", repository, subject);
    expect({ status, text }).toEqual({ status: 200, text: EMPTY });
    expect(headers.get("content-type")).toBe(OCI_INDEX);
    expect(headers.get("link")).toBeNull();
    expect(headers.get("oci-filters-applied")).toBeNull();
  });

  test.each(["sha256:baddigeststring", "latest", `sha384:${"a".repeat(96)}`, `sha256:${"A".repeat(64)}`])(
    "answers 400 for %s",
    async (subject) => {
      const answer = await registry.ask("publisher", `/v2/models/x/referrers/${subject}`);
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ errors: [{ code: "DIGEST_INVALID" }] });
    },
  );

  test("describes a referrer by digest, size, types and all annotations, before and after its subject is pushed", async () => {
    const subject = digestOf(JSON.stringify(image({ annotations: { late: "yes" } })));
    const manifest = referrer(subject, { artifactType: "application/vnd.example", annotations: { a: "1", b: "é" } });
    const digest = await registry.push("models/described", manifest);
    const described = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [
        {
          mediaType: OCI_IMAGE,
          digest,
          size: JSON.stringify(manifest).length + 1,
          artifactType: "application/vnd.example",
          annotations: { a: "1", b: "é" },
        },
      ],
    };
    expect(JSON.parse((await referrers("publisher", "models/described", subject)).text)).toEqual(described);
    expect(await registry.push("models/described", image({ annotations: { late: "yes" } }), "v1")).toBe(subject);
    expect(JSON.parse((await referrers("publisher", "models/described", subject)).text)).toEqual(described);
  });

  test("filters by artifactType and says so", async () => {
    const subject = await registry.push("models/filtered", image(), "v1");
    const wanted = await registry.push("models/filtered", referrer(subject, { artifactType: "application/wanted" }));
    await registry.push("models/filtered", referrer(subject, { artifactType: "application/other" }));
    const found = await referrers("publisher", "models/filtered", subject, "?artifactType=application%2Fwanted");
    expect(found.digests).toEqual([wanted]);
    expect(found.headers.get("oci-filters-applied")).toBe("artifactType");
    const none = await referrers("publisher", "models/filtered", subject, "?artifactType=application/none");
    expect(none.text).toBe(EMPTY);
    expect(none.headers.get("oci-filters-applied")).toBe("artifactType");
  });

  test("puts evidence on the first page, however much junk there is, and leads to the rest by Link", async () => {
    const subject = await registry.push("models/junk", image(), "v1");
    const junk: Digest[] = [];
    for (const at of Array.from({ length: 6 }).keys()) {
      junk.push(
        await registry.push(
          "models/junk",
          referrer(subject, { artifactType: "application/junk", annotations: { large: `${at}${"x".repeat(1_000_000)}` } }, "text/junk"),
        ),
      );
    }
    const signature = await registry.push("models/junk", referrer(subject, {}, "application/vnd.dev.sigstore.bundle.v0.3+json"));
    const first = await referrers("publisher", "models/junk", subject);
    expect(first.digests[0]).toBe(signature);
    expect(Buffer.byteLength(first.text)).toBeLessThanOrEqual(4 * 1024 * 1024);
    const link = /^<(.+)>; rel="next"$/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
    const second = await registry.ask("publisher", link);
    const rest = ((await second.json()) as { manifests: { digest: Digest }[] }).manifests.map(({ digest }) => digest);
    expect(second.headers.get("link")).toBeNull();
    expect(new Set([...first.digests, ...rest])).toEqual(new Set([signature, ...junk]));
    expect(first.digests.length + rest.length).toBe(7);
  });

  test("keeps the filter on later pages", async () => {
    const subject = await registry.push("models/filtered-pages", image(), "v1");
    for (const a of ["1", "2", "3"])
      await registry.push("models/filtered-pages", referrer(subject, { artifactType: "a/b", annotations: { a } }));
    await registry.push("models/filtered-pages", referrer(subject, { artifactType: "c/d" }));
    const { headers } = await referrers("publisher", "models/filtered-pages", subject, "?artifactType=a/b&n=2");
    const link = /^<(.+)>; rel="next"$/.exec(headers.get("link") ?? "")?.[1] ?? "";
    const next = await registry.ask("publisher", link);
    expect(next.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(((await next.json()) as { manifests: unknown[] }).manifests).toHaveLength(1);
  });

  test("shows readers nothing of a hidden subject, in the bytes of an unknown one", async () => {
    const subject = await registry.push("models/hidden", image(), "v1");
    await registry.push("models/hidden", referrer(subject));
    const hidden = await referrers("reader", "models/hidden", subject, "?artifactType=a/b");
    const unknown = await referrers("reader", "models/hidden", NOWHERE, "?artifactType=a/b");
    expect(comparable(hidden)).toEqual(comparable(unknown));
    expect(hidden.text).toBe(EMPTY);
  });

  test("shows readers the registry's statements and covered evidence, not what comes later, and after a revocation the statements alone", async () => {
    const subject = await registry.push("models/life", image(), "v1");
    const covered = await registry.push("models/life", referrer(subject, { annotations: { at: "before" } }));
    await registry.transition("models/life", subject, "promote");
    const late = await registry.push("models/life", referrer(subject, { annotations: { at: "after" } }));
    const promoted = await referrers("reader", "models/life", subject);
    expect(promoted.digests).toContain(covered);
    expect(promoted.digests).not.toContain(late);
    const statements = promoted.digests.filter((digest) => digest !== covered);
    expect(statements.length).toBeGreaterThan(0);
    expect(promoted.digests.slice(0, statements.length)).toEqual(statements);
    await registry.transition("models/life", subject, "revoke", { reason: "bad" });
    const revoked = await referrers("reader", "models/life", subject);
    expect(revoked.digests).toEqual(expect.arrayContaining(statements));
    expect(revoked.digests).not.toContain(covered);
    expect(revoked.digests.length).toBeGreaterThan(statements.length);
    const listing = JSON.parse(revoked.text) as { manifests: { annotations?: Record<string, string> }[] };
    expect(listing.manifests.map(({ annotations }) => annotations?.["dev.ai-model-registry.lifecycle.state"])).toContain("revoked");
  });

  test("finds a referrer under both names of its subject", async () => {
    const subject = await registry.push("models/names", image(), "v1");
    const sha512 = digestOf(JSON.stringify(image()), "sha512");
    const one = await registry.push("models/names", referrer(subject, { annotations: { by: "sha256" } }));
    const other = await registry.push("models/names", referrer(sha512, { annotations: { by: "sha512" } }));
    for (const name of [subject, sha512]) {
      expect(new Set((await referrers("publisher", "models/names", name)).digests)).toEqual(new Set([one, other]));
    }
  });
});
