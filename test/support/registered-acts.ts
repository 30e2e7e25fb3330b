import * as fc from "fast-check";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { deleteArtifact } from "../../src/registry/delete-artifact.ts";
import { demand } from "../../src/registry/find-artifact.ts";
import { findModel } from "../../src/registry/find-model.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { promoteModel } from "../../src/registry/promote-model.ts";
import { quarantine } from "../../src/registry/quarantine.ts";
import { revokeAndFollow } from "../../src/registry/revoke-everywhere.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "./acquisitions.ts";
import { MAINTAINER, OPERATOR, PUBLISHER, READER } from "./actors.ts";
import { callerWith } from "./callers.ts";
import { outcomeOf } from "./outcome.ts";
import type { Definition, Outcome } from "./reference-model.ts";
import type { RegisteredFile, RegisteredModel, Registrar } from "./registered-model.ts";
import { type Transitions, descriptorOf, imageOf, tag } from "./transitions.ts";

/** What actors do by OCI and by the predecessor's API at once: as the model foretells it, and as the registry does it. */

const WHO = {
  alice: { caller: callerWith(["publisher@models"], { name: "alice" }), actor: { ...PUBLISHER, acquire: true } },
  mona: { caller: callerWith(["maintainer@models"], { name: "mona" }), actor: { ...MAINTAINER, acquire: true } },
  olga: { caller: callerWith(["operator@*"], { name: "olga" }), actor: { ...OPERATOR, acquire: false } },
  rob: { caller: callerWith(["reader@*"], { name: "rob" }), actor: { ...READER, acquire: false } },
  // On what is registered, which is all that it is asked for here.
  "service-token": {
    caller: TOKEN_HOLDER,
    actor: { ...OPERATOR, revokeEverywhere: false, promotesOwn: true, acquire: true },
  },
} as const satisfies Record<string, { caller: Caller; actor: Omit<Registrar, "name"> }>;
export type Who = keyof typeof WHO;
export const IDENTITIES = ["alice", "mona", "olga", "rob"] as const;

export function registrar(who: Who): Registrar {
  return { ...WHO[who].actor, name: who };
}

export function callerNamed(who: Who): Caller {
  return WHO[who].caller;
}

// What there is: two names, one of them for either of two files, of which the other wants one as well.

/** The config of a file without a header, and the manifest, as ModelPack has them. */
function registered(name: string, path: string, content: string): RegisteredFile & { readonly config: string } {
  const config = JSON.stringify({
    config: { format: "gguf" },
    descriptor: { name },
    modelfs: { diffIds: [digestOf(content)], type: "layers" },
  });
  const manifest = {
    annotations: { "dev.ai-model-registry.name": name },
    artifactType: "application/vnd.cncf.model.manifest.v1+json",
    config: { digest: digestOf(config), mediaType: "application/vnd.cncf.model.config.v1+json", size: config.length },
    layers: [
      {
        annotations: { "org.cncf.model.filepath": path, "org.opencontainers.image.title": path },
        digest: digestOf(content),
        mediaType: "application/vnd.cncf.model.weight.v1.raw",
        size: content.length,
      },
    ],
    mediaType: OCI_IMAGE,
    schemaVersion: 2,
  };
  return { name, path, content, config, definition: defined(manifest, [digestOf(config), digestOf(content)]) };
}

function defined(manifest: object, blobs: Definition["blobs"], rest: Partial<Definition> = {}): Definition {
  const bytes = JSON.stringify(manifest);
  const names = { digest: digestOf(bytes), sha512: digestOf(bytes, "sha512") };
  return { manifest, ...names, children: [], blobs, subject: undefined, evidence: undefined, ...rest };
}

const FILES = {
  "a one": registered("a", "one.gguf", "one"),
  "a two": registered("a", "two.gguf", "two"),
  "b one": registered("b", "one.gguf", "one"),
};
type File = keyof typeof FILES;
const files = Object.keys(FILES) as File[];
const NAMES = ["a", "b"] as const;

const SEAL = "seal";
const sealed = imageOf([], {
  layers: [descriptorOf(SEAL, "application/vnd.dev.cosign.simplesigning.v1+json")],
  subject: { mediaType: OCI_IMAGE, digest: FILES["a one"].definition.digest, size: 1 },
});
/** By label: what was registered, an image with one of its layers, and a signature of one of them. */
export const ARTIFACTS: Readonly<Record<string, Definition>> = {
  "a one": FILES["a one"].definition,
  "a two": FILES["a two"].definition,
  "b one": FILES["b one"].definition,
  image: defined(imageOf(["one", "shared"]), [digestOf("{}"), digestOf("one"), digestOf("shared")]),
  seal: defined(sealed, [digestOf("{}"), digestOf(SEAL)], { subject: FILES["a one"].definition.digest, evidence: "signature" }),
};
const labels = Object.keys(ARTIFACTS);
export const BLOBS = ["{}", "one", "two", "shared", SEAL, ...Object.values(FILES).map(({ config }) => config)];
export const REPOSITORIES = ["models/a", "models/b"] as const;
export const TAGS = ["v1", "latest"] as const;

// What can happen

interface Acts {
  readonly acquire: { readonly file: File };
  readonly promoteByName: { readonly file: File };
  readonly quarantineByName: { readonly name: string };
  readonly revokeByName: { readonly name: string };
  readonly deleteByName: { readonly name: string };
  readonly push: { readonly place: string; readonly what: string; readonly tags: readonly string[] };
  readonly pushBlob: { readonly place: string; readonly content: string };
  readonly deleteBlob: { readonly place: string; readonly content: string };
  readonly deleteTag: { readonly place: string; readonly tag: string };
  readonly quarantine: { readonly place: string; readonly what: string };
  readonly promote: { readonly place: string; readonly what: string; readonly tags: readonly string[] };
  readonly revoke: { readonly place: string; readonly what: string; readonly permanent: boolean; readonly everywhere: boolean };
  readonly delete: { readonly place: string; readonly what: string };
}
type Kind = keyof Acts;
export type Act = { readonly [K in Kind]: Acts[K] & { readonly kind: K; readonly who: Who } }[Kind];

interface Handler<K extends Kind> {
  foretold(model: RegisteredModel, actor: Registrar, act: Extract<Act, { kind: K }>): Outcome;
  done(at: Transitions, caller: Caller, act: Extract<Act, { kind: K }>): Promise<unknown>;
}

const definitionOf = (what: string): Definition => ARTIFACTS[what] ?? FILES["a one"].definition;

const HANDLERS: { readonly [K in Kind]: Handler<K> } = {
  acquire: {
    foretold: (model, actor, { file }) => model.acquire(actor, FILES[file]),
    done: (at, caller, { file }) => acquire(quick(at.services), caller, acquisitionIn(file)),
  },
  promoteByName: {
    foretold: (model, actor, { file }) => model.promoteByName(actor, FILES[file]),
    done: async (at, caller, { file }) => {
      const said = { scan: NO_SCAN_EVIDENCE, fingerprint: {}, tensorManifest: { path: "", digest: null } };
      await promoteModel(quick(at.services), caller, { acquisition: acquisitionIn(file), ...said });
    },
  },
  quarantineByName: {
    foretold: (model, actor, { name }) => model.quarantineByName(actor, name),
    done: async ({ services }, caller, { name }) => {
      const found = await findModel(services, caller, name, "pushed");
      demand(found.rights, "quarantine", "quarantining");
      await quarantine(services, caller, found, null);
    },
  },
  revokeByName: {
    foretold: (model, actor, { name }) => model.revokeByName(actor, name),
    done: async ({ services }, caller, { name }) => {
      const found = await findModel(services, caller, name, "only");
      await revokeAndFollow(services, caller, found, { reason: "bad", permanent: false, everywhere: false });
    },
  },
  deleteByName: {
    foretold: (model, actor, { name }) => model.deleteByName(actor, name),
    done: async (at, caller, { name }) => {
      const { services } = keepingFiles(at);
      await deleteArtifact(services, caller, await findModel(services, caller, name, "only"), null);
    },
  },
  push: {
    foretold: (model, actor, { place, what, tags }) => model.pushByOci(actor, place, definitionOf(what), tags),
    done: (at, caller, { place, what, tags }) => at.manifest(caller, place, definitionOf(what).manifest, ...tags),
  },
  pushBlob: {
    foretold: (model, actor, { place, content }) => model.pushBlob(actor, model.at(place), digestOf(content)),
    done: (at, caller, { place, content }) => at.blob(caller, place, content),
  },
  deleteBlob: {
    foretold: (model, actor, { place, content }) => model.deleteBlob(actor, model.at(place), digestOf(content)),
    done: (at, caller, { place, content }) => at.deleteBlob(caller, place, digestOf(content)),
  },
  deleteTag: {
    foretold: (model, actor, act) => model.deleteTagByOci(actor, act.place, act.tag),
    done: (at, caller, act) => at.deleteTag(caller, act.place, act.tag),
  },
  quarantine: {
    foretold: (model, actor, { place, what }) => model.quarantine(actor, model.at(place), definitionOf(what).digest),
    done: (at, caller, { place, what }) => at.quarantine(caller, place, definitionOf(what).digest),
  },
  promote: {
    foretold: (model, actor, { place, what, tags }) =>
      model.promote(actor, model.at(place), definitionOf(what).digest, { tags, covers: [] }),
    done: (at, caller, { place, what, tags }) => at.promote(caller, place, definitionOf(what).digest, { tags: tags.map(tag) }),
  },
  revoke: {
    foretold: (model, actor, act) => model.revoke(actor, model.at(act.place), definitionOf(act.what).digest, act),
    done: (at, caller, { place, what, permanent, everywhere }) =>
      at.revoke(caller, place, definitionOf(what).digest, { permanent, everywhere }),
  },
  delete: {
    foretold: (model, actor, { place, what }) => model.delete(actor, model.at(place), definitionOf(what).digest),
    done: (at, caller, { place, what }) => keepingFiles(at).delete(caller, place, definitionOf(what).digest),
  },
};

/** What is deleted leaves its file, so that whoever acquires it meanwhile finds it. */
function keepingFiles(at: Transitions): Transitions {
  const { services } = at;
  return at.through({ ...services, files: { ...services.files, removeIfSame: async () => {} } });
}

/** Puts all files where they are acquired from. */
export async function putFiles({ directory }: Transitions): Promise<void> {
  for (const { path, content } of Object.values(FILES)) await putFile(directory, path, content);
}

function acquisitionIn(file: File): ReturnType<typeof acquisitionOf> {
  const { name, path, content } = FILES[file];
  return acquisitionOf(name, path, { sha256: digestOf(content).slice("sha256:".length) });
}

/** What the model says of an act, and does. */
export function foretell(model: RegisteredModel, act: Act): Outcome {
  const handler = HANDLERS[act.kind] as unknown as Handler<Kind>;
  return handler.foretold(model, registrar(act.who), act);
}

/** The same act on the registry, and what came of it. */
export async function perform(at: Transitions, act: Act): Promise<Outcome> {
  const handler = HANDLERS[act.kind] as unknown as Handler<Kind>;
  try {
    await handler.done(at, callerNamed(act.who), act);
    return "done";
  } catch (error) {
    return outcomeOf(error);
  }
}

// At random

const file = fc.constantFrom(...files);
const name = fc.constantFrom(...NAMES);
const place = fc.constantFrom(...REPOSITORIES);
const what = fc.constantFrom(...labels);
const content = fc.constantFrom(...BLOBS);
const rarely = fc.nat(5).map((n) => n === 5);
const anyone = fc.constantFrom(...IDENTITIES);
const pusher = fc.constantFrom("alice" as const, "mona" as const);
const mostlyToken = fc.oneof(
  { weight: 4, arbitrary: fc.constant("service-token" as const) },
  { weight: 2, arbitrary: fc.constantFrom(...IDENTITIES) },
);
const mostlyOlga = fc.oneof({ weight: 4, arbitrary: fc.constant("olga" as const) }, { weight: 1, arbitrary: anyone });

function actOf<K extends Kind>(
  kind: K,
  who: fc.Arbitrary<Who>,
  rest: { readonly [P in keyof Acts[K]]: fc.Arbitrary<Acts[K][P]> },
): fc.Arbitrary<Act> {
  return fc.record({ kind: fc.constant(kind), who, ...rest }) as unknown as fc.Arbitrary<Act>;
}

/** Any act; those that make for rich states come more often. */
export const anAct: fc.Arbitrary<Act> = fc.oneof(
  { weight: 8, arbitrary: actOf("acquire", mostlyToken, { file }) },
  { weight: 6, arbitrary: actOf("promoteByName", mostlyToken, { file }) },
  { weight: 2, arbitrary: actOf("quarantineByName", mostlyToken, { name }) },
  { weight: 3, arbitrary: actOf("revokeByName", mostlyToken, { name }) },
  { weight: 4, arbitrary: actOf("deleteByName", mostlyToken, { name }) },
  { weight: 4, arbitrary: actOf("push", pusher, { place, what, tags: fc.subarray([...TAGS]) }) },
  { weight: 3, arbitrary: actOf("pushBlob", pusher, { place, content }) },
  { weight: 1, arbitrary: actOf("deleteBlob", anyone, { place, content }) },
  { weight: 1, arbitrary: actOf("deleteTag", anyone, { place, tag: fc.constantFrom(...TAGS) }) },
  { weight: 1, arbitrary: actOf("quarantine", anyone, { place, what }) },
  { weight: 4, arbitrary: actOf("promote", mostlyOlga, { place, what, tags: fc.subarray([...TAGS], { maxLength: 1 }) }) },
  { weight: 3, arbitrary: actOf("revoke", mostlyOlga, { place, what, permanent: rarely, everywhere: rarely }) },
  { weight: 2, arbitrary: actOf("delete", mostlyOlga, { place, what }) },
);
