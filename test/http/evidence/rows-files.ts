import { encodedOf } from "../../../src/oci/digest.ts";
import { type Layer, keyAuthority, manifestWith, workflowAuthority } from "../../trust/evidence.ts";
import { FILES, FILEPATH, LAYERS, type ListWish, RESOURCES, certificateBundle, fileList, hash, titled } from "../../trust/file-lists.ts";
import { NOTARY_ROOT, holder } from "../../trust/notation-envelopes.ts";
import { dsseBundle, statement } from "../../trust/sigstore-instance.ts";
import { KEY, layerOf } from "./signed.ts";
import type { Demand, Instances, Row } from "./world.ts";

/** The three methods of model signing: who is demanded, and how a list is signed. */
interface Method {
  readonly authority: object;
  readonly sign: (list: object, instances: Instances) => Promise<object>;
}
export const HOLDERS = { type: "x509", name: "holders", roots: [NOTARY_ROOT.pem], identities: [{ subject: { CN: "release", O: "Corp" } }] };
const METHODS: Readonly<Record<string, Method>> = {
  key: { authority: keyAuthority([KEY.pem]), sign: (list) => dsseBundle(KEY, list) },
  certificate: { authority: HOLDERS, sign: async (list) => certificateBundle([holder, NOTARY_ROOT], list) },
  sigstore: {
    authority: workflowAuthority(),
    sign: async (list, { corp }) => dsseBundle(await corp.identitySigner(), list, [corp.logged(), corp.timestamped()]),
  },
};

type Resources = NonNullable<ListWish["resources"]>;
const resource = (name: string, content: string): Resources[number] => ({ name, digest: hash(content), algorithm: "sha256" });
const others = RESOURCES.slice(1);

/** An artifact that has other files than were signed, and the list that fits it; null: no list can. */
interface Difference {
  readonly what: string;
  readonly code: Row["code"];
  readonly layers: readonly Layer[];
  readonly fitting: Resources | null;
  readonly extra?: object;
  readonly fails?: readonly string[];
}

const pack = (mediaType: string, name = "config.json"): Layer => ({
  bytes: Buffer.from(FILES[name] ?? ""),
  mediaType: `application/vnd.cncf.model.${mediaType}`,
  annotations: { [FILEPATH]: name },
});
const config = { mediaType: "application/vnd.cncf.model.config.v1+json", digest: `sha256:${hash("W")}`, size: 1 };

const differences: readonly Difference[] = [
  { what: "in another order", code: "ok", layers: LAYERS.toReversed(), fitting: RESOURCES },
  { what: "one of them twice", code: "ok", layers: [...LAYERS, ...LAYERS.slice(0, 1)], fitting: RESOURCES },
  { what: "as ModelPack has them", code: "ok", layers: Object.keys(FILES).map((name) => pack("weight.v1.raw", name)), fitting: RESOURCES },
  { what: "less one", code: "file-missing", layers: LAYERS.slice(1), fitting: others },
  {
    what: "and one more",
    code: "file-unsigned",
    layers: [...LAYERS, titled("z.py", "evil")],
    fitting: [...RESOURCES, resource("z.py", "evil")],
  },
  {
    what: "one of them under another name",
    code: "file-missing",
    layers: [titled("config.JSON", "{}"), ...LAYERS.slice(1)],
    fitting: [resource("config.JSON", "{}"), ...others],
  },
  {
    what: "one with other content",
    code: "file-differs",
    layers: [titled("config.json", "{ }"), ...LAYERS.slice(1)],
    fitting: [resource("config.json", "{ }"), ...others],
  },
  {
    what: "two with each other's content",
    code: "file-differs",
    layers: [titled("config.json", "W"), titled("tokenizer/vocab.txt", "a b c"), titled("weights.safetensors", "{}")],
    fitting: [resource("config.json", "W"), resource("tokenizer/vocab.txt", "a b c"), resource("weights.safetensors", "{}")],
  },
  {
    what: "one name for two contents",
    code: "file-unnamed",
    layers: [...LAYERS, titled("config.json", "other")],
    fitting: null,
    fails: ["file-names"],
  },
  { what: "and content without a name", code: "file-unnamed", layers: [...LAYERS, { bytes: Buffer.from("x") }], fitting: null },
  { what: "and one outside of the model", code: "file-unnamed", layers: [...LAYERS, titled("../run.py", "evil")], fitting: null },
  { what: "and a config that says something", code: "file-unnamed", layers: LAYERS, fitting: null, extra: { config } },
  {
    what: "one of them in an archive that oras unpacks",
    code: "files-unsupported",
    layers: [titled("config.json", "{}", { "io.deis.oras.content.unpack": "true" }), ...LAYERS.slice(1)],
    fitting: null,
  },
  {
    what: "one of them in an archive of ModelPack",
    code: "files-unsupported",
    layers: [pack("weight.v1.tar"), ...LAYERS.slice(1)],
    fitting: null,
  },
  {
    what: "and one in a folder like the ignored one",
    code: "file-unsigned",
    layers: [...LAYERS, titled("sub/.git/HEAD", "x")],
    fitting: [resource("config.json", "{}"), resource("sub/.git/HEAD", "x"), ...others],
  },
  {
    what: "and what git keeps",
    code: "ok",
    layers: [...LAYERS, titled(".git/HEAD", "x"), titled(".gitattributes", "x")],
    fitting: RESOURCES,
  },
];

const FILES_HEX = encodedOf(manifestWith(LAYERS).digest);

/** A list that is not as it must be; `list` is signed as it is. */
const lists: readonly (readonly [what: string, code: Row["code"], list: object])[] = [
  ["with another root", "files-root", fileList({ root: "0".repeat(64) })],
  ["without a subject", "files-root", { ...fileList(), subject: [] }],
  ["of shards", "files-unsupported", fileList({ serialization: { method: "shards", shard_size: 10 } })],
  ["of BLAKE3", "files-unsupported", fileList({ serialization: { hash_type: "blake3" } })],
  ["of one file without a name", "files-unsupported", fileList({ resources: [resource(".", "W")] })],
  ["with a file twice", "files-malformed", fileList({ resources: [...RESOURCES.slice(0, 1), ...RESOURCES] })],
  ["out of order", "files-malformed", fileList({ resources: RESOURCES.toReversed() })],
  ["with a name that leads elsewhere", "files-malformed", fileList({ resources: [resource("../config.json", "{}"), ...others] })],
  [
    "with one resource of another hash",
    "files-malformed",
    fileList({ resources: RESOURCES.map((file) => ({ ...file, algorithm: "sha512" })) }),
  ],
  ["of nothing", "files-malformed", fileList({ resources: [] })],
  ["that is none", "files-malformed", { ...fileList(), predicate: null }],
  ["of the first version", "subject-mismatch", { ...fileList(), predicateType: "https://model_signing/Digests/v0.1" }],
  ["that ignores what is there", "ok", fileList({ resources: others, serialization: { ignore_paths: ["config.json"] } })],
  ["that ignores what only begins like it", "file-unsigned", fileList({ resources: others, serialization: { ignore_paths: ["config"] } })],
  ["that ignores nothing and signs less", "file-unsigned", fileList({ resources: others })],
  ["that says it is an attestation", "other-kind", statement(FILES_HEX, "https://example.org/files/v1")],
];

/** What a signed list of files is held to, for each method of model signing (trust.md §10). */
export const FILE_ROWS: readonly Row[] = Object.entries(METHODS).flatMap(([name, { authority, sign }]) => [
  ...differences.map((difference) => differenceRow(name, demandOf(authority), sign, difference)),
  ...lists.map(([what, code, list]): Row => ({
    what: `${name}: a list ${what}`,
    code,
    demand: demandOf(authority),
    evidence: async (instances) => layerOf(await sign(list, instances)),
    good: async (instances) => layerOf(await sign(fileList(), instances)),
    artifact: { layers: LAYERS },
  })),
]);

function demandOf(authority: object): () => Demand {
  return () => ({ authorities: [authority], evidence: { kind: "oms" } });
}

function differenceRow(name: string, demand: () => Demand, sign: Method["sign"], difference: Difference): Row {
  const { what, code, layers, fitting, extra = {}, fails } = difference;
  return {
    what: `${name}: the files ${what}`,
    code,
    demand,
    evidence: async (instances) => layerOf(await sign(fileList(), instances)),
    good: fitting === null ? null : async (instances) => layerOf(await sign(fileList({ resources: fitting }), instances)),
    artifact: { layers, extra },
    ...(fails !== undefined && { fails }),
  };
}
