import { HOSTILE, HOSTILE_CARD } from "./hostile.ts";
import { type Layer, type Pushed, type World, digestOf } from "./world.ts";

/** What the pages are looked at with: an artifact in every state, and some that a page could trip over. */
export interface Scene {
  readonly waiting: Pushed;
  readonly held: Pushed;
  readonly trusted: Pushed;
  readonly revoked: Pushed;
  readonly deleted: Pushed;
  readonly index: Pushed;
  readonly hostile: Pushed;
  readonly manyFiles: Pushed;
}

/** One identity of every role besides those of the first start. */
export const ROLES = { ann: "reviewer", scan: "scanner", aud: "auditor", main: "maintainer", own: "owner" } as const;

const NAMESPACE = "models";
const PROVENANCE = "https://slsa.dev/provenance/v1";
/** How the trusted one was built, as its builder attests it. */
const BUILD = {
  buildDefinition: {
    buildType: "https://git.example/actions/v1",
    resolvedDependencies: [{ uri: "git+https://git.example/ml/trusted@refs/tags/v1", digest: { gitCommit: "4f1c9d2" } }],
  },
  runDetails: { builder: { id: "https://git.example/ml/trusted/release.yml" } },
};
const FILES = 10_000;
const SHARDS = 100;
const SHARD_BYTES = 1_500;

function files(name: string): readonly Layer[] {
  return [
    { title: "weights.safetensors", bytes: `weights of ${name}` },
    { title: "README.md", bytes: `# ${name}\n\nA small model, for one page.\n`, mediaType: "text/markdown" },
  ];
}

/** Pushes everything and brings it into its state. */
export async function setScene(world: World): Promise<Scene> {
  await world.ask("operator", "POST /v1/namespaces", JSON.stringify({ name: NAMESPACE, owner: "publisher" })).catch(() => undefined);
  for (const [name, role] of Object.entries(ROLES)) await world.hire(name, role, role === "auditor" ? "*" : NAMESPACE);
  const push = (name: string, described?: Parameters<World["push"]>[2]): Promise<Pushed> =>
    world.push(`${NAMESPACE}/${name}`, files(name), described);
  await world.demandSignature(`${NAMESPACE}/waiting`);
  const [waiting, held, trusted, revoked, deleted] = [
    await push("waiting", {
      annotations: { "org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.title": "A model" },
    }),
    await push("held"),
    await push("trusted", {
      annotations: {
        "org.opencontainers.image.source": "https://git.example/ml/trusted",
        "org.opencontainers.image.revision": "4f1c9d2",
        "org.opencontainers.image.base.name": "models/base:v3",
      },
    }),
    await push("revoked"),
    await push("deleted"),
  ];
  await world.try("operator", `POST /v1/artifacts/${NAMESPACE}/waiting:v1/promote`, "{}");
  await world.act(held, "quarantine", { reason: "its card names no licence" });
  await world.sign(trusted);
  await world.sign(trusted, PROVENANCE, BUILD);
  await world.demand(trusted.repository, [
    { name: "built", anyOf: ["release"], evidence: { kind: "attestation", predicateType: PROVENANCE } },
  ]);
  await world.act(trusted, "promote", { reason: "scanned and reviewed" });
  await world.act(revoked, "promote", {});
  await world.act(revoked, "revoke", { reason: "weights withdrawn by their author" });
  await world.delete(deleted, "pushed by mistake");
  const children = [
    await world.push(`${NAMESPACE}/index`, files("one"), { tag: "one" }),
    await world.push(`${NAMESPACE}/index`, files("two"), { tag: "two" }),
  ];
  const index = await world.pushIndex(`${NAMESPACE}/index`, children);
  await pushShards(world);
  return { waiting, held, trusted, revoked, deleted, index, hostile: await pushHostile(world), manyFiles: await pushManyFiles(world) };
}

async function pushHostile(world: World): Promise<Pushed> {
  const annotations = Object.fromEntries(HOSTILE.map((text, at) => [`${text.slice(0, 80)} ${at}`, text]));
  const titles = HOSTILE.map((title, at) => ({ title, bytes: `file ${at}` }));
  const layers = [{ title: "README.md", bytes: HOSTILE_CARD, mediaType: "text/markdown" }, ...titles];
  const described = { annotations, artifactType: `application/vnd.hostile+json` };
  const hostile = await world.push(`${NAMESPACE}/hostile`, layers, described);
  await world.act(hostile, "quarantine", { reason: HOSTILE.slice(0, 7).join(" ") });
  return hostile;
}

/** A model in many files, which a check of all bytes has something to do with. */
async function pushShards(world: World): Promise<void> {
  const shards = Array.from({ length: SHARDS }, (_, at) => ({
    title: `model-${String(at + 1).padStart(5, "0")}-of-00${SHARDS}.safetensors`,
    bytes: String(at).padEnd(SHARD_BYTES),
  }));
  await world.push(`${NAMESPACE}/shards`, shards);
}

/** The same bytes under ten thousand names. */
async function pushManyFiles(world: World): Promise<Pushed> {
  const bytes = "one of many";
  const more = Array.from({ length: FILES - 1 }, (_, at) => ({
    mediaType: "application/octet-stream",
    digest: digestOf(bytes),
    size: bytes.length,
    annotations: { "org.opencontainers.image.title": `part-${at}.bin` },
  }));
  return world.push(`${NAMESPACE}/many-files`, [{ title: "part.bin", bytes }], { more });
}
