import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type Authority, authoritySchema } from "../../src/trust/authority.ts";
import { type Found, candidatesOf, ownCandidatesOf } from "../../src/trust/candidate.ts";
import { MODEL_SIGNING } from "../../src/trust/oms.ts";
import { type Subject, subjectOf } from "../../src/trust/subject.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import * as x509 from "./certificates.ts";
import { type Layer, bundled, changed, grounds, judge, keyAuthority, manifestWith, outcome, workflowAuthority } from "./evidence.ts";
import { FILEPATH, FILES, LAYERS, type ListWish, RESOURCES, TITLE, certificateBundle, fileList, hash, titled } from "./file-lists.ts";
import { SigstoreInstance, dsseBundle, keySigner, wholeSecond } from "./sigstore-instance.ts";

const clock = wholeSecond();
const key = keySigner();
const authority = keyAuthority([key.pem]);
let corp: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
});

const artifactOf = (layers: readonly Layer[], extra: object = {}): Subject => subjectOf(manifestWith(layers, extra).bytes, OCI_IMAGE);
const judgeList = async (list: object, layers: readonly Layer[] = LAYERS, extra: object = {}): Promise<string> =>
  judge(bundled(await dsseBundle(key, list)), authority, grounds(clock, undefined, artifactOf(layers, extra)));

/** A file as a layer, as ModelPack names it. */
const raw = (name: string, more: Annotations = {}): Layer => ({
  bytes: Buffer.from(FILES[name] ?? ""),
  mediaType: "application/vnd.cncf.model.weight.v1.raw",
  annotations: { [FILEPATH]: name, ...more },
});

describe("a signed list of files", () => {
  test("counts, with the list, when the artifact has exactly these files", async () => {
    const candidate = bundled(await dsseBundle(key, fileList()));
    const verdict = verifyCandidate(candidate, authority, grounds(clock, undefined, artifactOf(LAYERS)));
    expect(verdict).toMatchObject({ ok: true, kind: "oms", predicateType: MODEL_SIGNING, predicate: { resources: RESOURCES } });
  });

  test.each<[string, readonly Layer[], string]>([
    ["in another order", LAYERS.toReversed(), "ok"],
    ["one of them twice", [...LAYERS, ...LAYERS.slice(0, 1)], "ok"],
    ["less one", LAYERS.slice(1), "file-missing"],
    ["and one more", [...LAYERS, titled("run.py", "evil")], "file-unsigned"],
    ["one with other content", [titled("config.json", '{"a":1}'), ...LAYERS.slice(1)], "file-differs"],
    [
      "two with each other's content",
      [titled("config.json", "W"), titled("weights.safetensors", "{}"), titled("tokenizer/vocab.txt", "a b c")],
      "file-differs",
    ],
    ["one of them under a second content", [...LAYERS, titled("config.json", "other")], "file-unnamed"],
    ["one under another name", [titled("config.JSON", "{}"), ...LAYERS.slice(1)], "file-missing"],
    ["and content without a name", [...LAYERS, { bytes: Buffer.from("x") }], "file-unnamed"],
    ["and a name that leads out of the model", [...LAYERS, titled("../run.py", "evil")], "file-unnamed"],
    ["and a name that leads out of what is ignored", [...LAYERS, titled(".git/../run.py", "evil")], "file-unnamed"],
    ["and an absolute name", [...LAYERS, titled("/run.py", "evil")], "file-unnamed"],
    [
      "and an archive that clients unpack",
      [...LAYERS, titled("more", "tar", { "io.deis.oras.content.unpack": "true" })],
      "files-unsupported",
    ],
    ["and what git keeps", [...LAYERS, titled(".gitattributes", "*.bin"), titled(".git/HEAD", "x")], "ok"],
    ["and what git keeps elsewhere", [...LAYERS, titled("sub/.git/HEAD", "x")], "file-unsigned"],
    ["and a name that begins like what is ignored", [...LAYERS, titled(".gitmodules", "x")], "file-unsigned"],
    ["none", [], "file-missing"],
  ])("for an artifact with these files %s", async (_, layers, result) => {
    expect(await judgeList(fileList(), layers)).toBe(result);
  });

  test("knows the files of ModelPack by the names that its clients use", async () => {
    const names = Object.keys(FILES);
    expect(
      await judgeList(
        fileList(),
        names.map((name) => raw(name)),
      ),
    ).toBe("ok");
    expect(
      await judgeList(
        fileList(),
        names.map((name) => raw(name, { [TITLE]: name })),
      ),
    ).toBe("ok");
    // One client would write the one name, another the other.
    expect(
      await judgeList(
        fileList(),
        names.map((name) => raw(name, { [TITLE]: "run.py" })),
      ),
    ).toBe("file-unnamed");
    const archive = { ...raw("config.json"), mediaType: "application/vnd.cncf.model.weight.v1.tar" };
    expect(await judgeList(fileList(), [archive, ...names.slice(1).map((name) => raw(name))])).toBe("files-unsupported");
    const foreign = { ...raw("config.json"), mediaType: "application/octet-stream" };
    expect(await judgeList(fileList(), [foreign, ...names.slice(1).map((name) => raw(name))])).toBe("file-unnamed");
  });

  test.each<[string, ListWish, string]>([
    ["with paths that it ignores", { serialization: { ignore_paths: ["cache", "model.sig"] } }, "ok"],
    ["with another root", { root: "0".repeat(64) }, "files-root"],
    ["of shards", { serialization: { method: "shards", shard_size: 10 } }, "files-unsupported"],
    ["of BLAKE3", { serialization: { hash_type: "blake3" } }, "files-unsupported"],
    [
      "with one resource of another hash",
      { resources: RESOURCES.map((file, at) => (at === 1 ? { ...file, algorithm: "blake3" } : file)) },
      "files-malformed",
    ],
    [
      "with a digest in upper case",
      { resources: RESOURCES.map((file) => ({ ...file, digest: file.digest.toUpperCase() })) },
      "files-malformed",
    ],
    ["with a short digest", { resources: RESOURCES.map((file) => ({ ...file, digest: "ab" })) }, "files-malformed"],
    ["out of order", { resources: RESOURCES.toReversed() }, "files-malformed"],
    ["with a file twice", { resources: [...RESOURCES.slice(0, 1), ...RESOURCES] }, "files-malformed"],
    [
      "with a name that leads elsewhere",
      { resources: [{ name: "../config.json", digest: hash("{}"), algorithm: "sha256" }] },
      "files-malformed",
    ],
    ["of nothing", { resources: [] }, "files-malformed"],
    [
      "of a single file without a name, as older versions wrote it",
      { resources: [{ name: ".", digest: hash("W"), algorithm: "sha256" }] },
      "files-unsupported",
    ],
  ])("%s", async (_, wish, result) => {
    expect(await judgeList(fileList(wish))).toBe(result);
  });

  test("is in the order of code points, not of UTF-16", async () => {
    // U+FFFD comes before U+1F600, whose first UTF-16 unit is smaller.
    const names = ["\ufffd", "\ud83d\ude00"];
    const resources = names.map((name) => ({ name, digest: hash("x"), algorithm: "sha256" }));
    const layers = names.map((name) => titled(name, "x"));
    expect(await judgeList(fileList({ resources }), layers)).toBe("ok");
    expect(await judgeList(fileList({ resources: resources.toReversed() }), layers)).toBe("files-malformed");
  });

  test("has one subject and a predicate of its form", async () => {
    expect(await judgeList({ ...fileList(), subject: [] })).toBe("files-root");
    expect(await judgeList({ ...fileList(), predicate: { resources: "all" } })).toBe("files-malformed");
    expect(await judgeList({ ...fileList(), predicate: null })).toBe("files-malformed");
  });

  test("ignores what it says, and a folder's whole content", async () => {
    const list = fileList({ serialization: { ignore_paths: ["cache"] } });
    expect(await judgeList(list, [...LAYERS, titled("cache/a/b", "x")])).toBe("ok");
    expect(await judgeList(list, [...LAYERS, titled("cached", "x")])).toBe("file-unsigned");
  });

  test("counts only when its signature holds", async () => {
    expect(judge(bundled(await dsseBundle(keySigner(), fileList())), authority, grounds(clock, undefined, artifactOf(LAYERS)))).toBe(
      "signature-invalid",
    );
  });

  test("of the first version, whose subjects were files, is not taken", async () => {
    const old = {
      ...fileList(),
      predicateType: "https://model_signing/Digests/v0.1",
      subject: RESOURCES.map(({ name, digest }) => ({ name, digest: { sha256: digest } })),
    };
    expect(await judgeList(old)).toBe("subject-mismatch");
  });
});

describe("the config of an artifact, of which the list knows nothing,", () => {
  const config = { mediaType: "application/vnd.cncf.model.config.v1+json", digest: `sha256:${hash("C")}`, size: 1 };

  test("refuses the list when it is more than empty, unless that is allowed", async () => {
    expect(await judgeList(fileList(), LAYERS, { config })).toBe("file-unnamed");
    const on = { ...grounds(clock, undefined, artifactOf(LAYERS, { config })), unsignedConfig: true };
    expect(outcome(verifyCandidate(bundled(await dsseBundle(key, fileList())), authority, on))).toBe("ok");
  });

  test("is not empty because its type says so", async () => {
    expect(await judgeList(fileList(), LAYERS, { config: { ...config, mediaType: "application/vnd.oci.empty.v1+json" } })).toBe(
      "file-unnamed",
    );
  });

  test("is a file like any other when it has a name", async () => {
    expect(await judgeList(fileList(), LAYERS, { config: { ...config, annotations: { [TITLE]: "modelfile" } } })).toBe("file-unsigned");
    const named = { mediaType: "application/json", digest: `sha256:${hash("{}")}`, size: 2, annotations: { [TITLE]: "config.json" } };
    expect(await judgeList(fileList(), LAYERS.slice(1), { config: named })).toBe("ok");
  });
});

const subject = artifactOf(LAYERS);
const onAt = (time: string): ReturnType<typeof grounds> => grounds(new Date(time), undefined, subject);

describe("the methods of model signing", () => {
  test("key: with the hash of the curve, whatever the hint", async () => {
    const keys = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const signer = keySigner(keys, { hash: "sha384", hint: "e8450dec" });
    expect(judge(bundled(await dsseBundle(signer, fileList())), keyAuthority([signer.pem]), grounds(clock, undefined, subject))).toBe("ok");
  });

  test("key: with the key in the bundle, as older versions had it, which is not looked at", async () => {
    const bundle = changed(await dsseBundle(key, fileList()), ({ verificationMaterial }) => {
      verificationMaterial.publicKey = {
        rawBytes: Buffer.from(keySigner().pem).toString("base64"),
        keyDetails: "PKIX_ECDSA_P256_SHA_256",
      } as never;
    });
    expect(judge(bundled(bundle), authority, grounds(clock, undefined, subject))).toBe("ok");
  });

  test("sigstore: by an identity", async () => {
    const bundle = await dsseBundle(await corp.identitySigner(), fileList(), [corp.logged()]);
    expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot, subject))).toBe("ok");
  });

  describe("certificate:", () => {
    const validity = { notBefore: new Date("2026-01-01T00:00:00Z"), notAfter: new Date("2030-01-01T00:00:00Z") };
    const root = x509.issue({ ...validity, subject: [[x509.CN, "root"]], extensions: x509.AUTHORITY, rsaBits: 3_072 });
    const between = x509.issue({ ...validity, subject: [[x509.CN, "between"]], extensions: x509.AUTHORITY }, root);
    const leaf = x509.issue(
      {
        ...validity,
        subject: [
          [x509.CN, "release"],
          [x509.O, "Corp"],
        ],
        extensions: x509.SIGNER,
        curve: "P-384",
      },
      between,
    );
    const holders: Authority = authoritySchema.parse({
      type: "x509",
      name: "holders",
      roots: [root.pem],
      identities: [{ subject: { CN: "release", O: "Corp" } }],
    });

    test("by the holder of a certificate below a pinned one", () => {
      const verdict = verifyCandidate(bundled(certificateBundle([leaf, between], fileList())), holders, onAt("2028-01-01T00:00:00Z"));
      expect(verdict).toMatchObject({ ok: true, kind: "oms", signer: { type: "certificate", subject: "CN=release,O=Corp" }, at: null });
    });

    test("only while the certificates are valid, as nothing tells when it was signed", () => {
      expect(judge(bundled(certificateBundle([leaf, between], fileList())), holders, onAt("2030-01-02T00:00:00Z"))).toBe(
        "certificate-expired",
      );
      expect(judge(bundled(certificateBundle([leaf, between], fileList())), holders, onAt("2025-12-31T00:00:00Z"))).toBe(
        "certificate-expired",
      );
    });
  });
});

const withOwn = async (name: string, more: readonly Layer[] = []): Promise<Found> => {
  const bytes = Buffer.from(JSON.stringify(await dsseBundle(key, fileList())));
  return manifestWith([...LAYERS, { bytes, annotations: { [TITLE]: name } }, ...more]);
};
const judgeOwn = (artifact: Found, read = ownCandidatesOf): string[] => {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, config: artifact.manifest.config, layers: artifact.manifest.layers }),
  );
  const on = grounds(clock, undefined, subjectOf(bytes, OCI_IMAGE));
  return read(artifact).candidates.map((candidate) => judge(candidate, authority, on));
};

describe("a signature that is a file of the model", () => {
  test("need not sign itself", async () => {
    expect(judgeOwn(await withOwn("model.sig"))).toEqual(["ok"]);
  });

  test("excuses no other file", async () => {
    expect(judgeOwn(await withOwn("model.sig", [titled("other.sig", "x")]))).toEqual(["file-unsigned"]);
    expect(judgeOwn(await withOwn("model.sig"), candidatesOf)).toEqual(["file-unsigned"]);
  });
});
