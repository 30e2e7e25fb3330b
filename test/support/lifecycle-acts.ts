import * as fc from "fast-check";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { mountBlob } from "../../src/registry/mount-blob.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { callerWith } from "./callers.ts";
import { outcomeOf } from "./outcome.ts";
import { repository } from "./principal.ts";
import { MAINTAINER, NOBODY, OPERATOR, PUBLISHER, READER, REVIEWER, SCANNER } from "./actors.ts";
import type { Actor, Definition, Outcome, ReferenceModel } from "./reference-model.ts";
import { type Transitions, descriptorOf, imageOf, tag } from "./transitions.ts";

/** What actors may do to artifacts, at random: as the model foretells it, and as the registry does it. */

// Who acts: callers by their roles, and beside them what these let them do, in the namespaces `models` and `others`.

const WHO = {
  alice: { roles: ["publisher@models", "publisher@others"], models: PUBLISHER, others: PUBLISHER },
  bob: { roles: ["publisher@models"], models: PUBLISHER, others: NOBODY },
  mona: { roles: ["maintainer@models"], models: MAINTAINER, others: NOBODY },
  rita: { roles: ["reviewer@models", "publisher@others"], models: REVIEWER, others: PUBLISHER },
  sam: { roles: ["scanner@*"], models: SCANNER, others: SCANNER },
  olga: { roles: ["operator@*"], models: OPERATOR, others: OPERATOR },
  rob: { roles: ["reader@*"], models: READER, others: READER },
  nina: { roles: [], models: NOBODY, others: NOBODY },
} as const satisfies Record<string, { roles: readonly Parameters<typeof callerWith>[0][number][]; models: Actor; others: Actor }>;
export type Name = keyof typeof WHO;
export const NAMES = Object.keys(WHO) as Name[];
const PUSHERS = { models: ["alice", "bob", "mona"], others: ["alice", "rita"] } as const;

export const PLACES = ["models/a", "models/b", "others/c"] as const;
type Place = (typeof PLACES)[number];

function namespaceOf(place: string): "models" | "others" {
  return place.startsWith("models/") ? "models" : "others";
}

export function actorIn(name: Name, place: string): Actor {
  return { ...WHO[name][namespaceOf(place)], name };
}

export function callerOf(name: Name): Caller {
  return callerWith(WHO[name].roles, { name });
}

function pusher(n: number, place: string): Name {
  const pushers = PUSHERS[namespaceOf(place)];
  return pushers[n % pushers.length] ?? "alice";
}

// What there is: artifacts with shared layers, an index, an index of that, evidence by either name of its subject, and what is no evidence.

export const CONTENTS = ["{}", "one", "two", "shared", "signature", "countersignature", "late", "sbom", "readme"] as const;
const SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json";

interface Parsed {
  readonly config?: { readonly digest: Digest };
  readonly layers?: readonly { readonly digest: Digest }[];
  readonly manifests?: readonly { readonly digest: Digest }[];
  readonly subject?: { readonly digest: Digest };
}

function defined(manifest: object, evidence?: Definition["evidence"]): Definition {
  const bytes = JSON.stringify(manifest);
  const { config, layers = [], manifests = [], subject } = manifest as Parsed;
  const blobs = [...(config === undefined ? [] : [config]), ...layers].map(({ digest }) => digest);
  return {
    manifest,
    digest: digestOf(bytes),
    sha512: digestOf(bytes, "sha512"),
    children: manifests.map(({ digest }) => digest),
    blobs: [...new Set(blobs)],
    subject: subject?.digest,
    evidence,
  };
}

function indexOver(children: readonly Definition[], type: string): Definition {
  const manifests = children.map(({ manifest }) => descriptorOf(JSON.stringify(manifest), type));
  return defined({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
}

function attached(subject: Digest, layer: readonly [string, string], evidence?: Definition["evidence"]): Definition {
  return defined(imageOf([], { layers: [descriptorOf(...layer)], subject: { mediaType: OCI_IMAGE, digest: subject, size: 1 } }), evidence);
}

const ONE = defined(imageOf(["one", "shared"]));
const TWO = defined(imageOf(["two", "shared"]));
const TREE = indexOver([ONE, TWO], OCI_IMAGE);
const SIGNED = attached(ONE.sha512, ["signature", SIGNATURE], "signature");
export const DEFINITIONS = {
  ONE,
  TWO,
  TREE,
  GROVE: indexOver([TREE], OCI_INDEX),
  SHRUB: indexOver([TWO], OCI_IMAGE),
  // What a promotion of it contains and covers at once.
  BUNDLE: indexOver([ONE, SIGNED], OCI_IMAGE),
  SIGNED,
  COUNTERSIGNED: attached(SIGNED.digest, ["countersignature", SIGNATURE], "signature"),
  LATE: attached(ONE.digest, ["late", SIGNATURE], "signature"),
  BILL: attached(TREE.digest, ["sbom", "application/vnd.cyclonedx+json"], "other"),
  README: attached(ONE.digest, ["readme", "text/markdown"]),
};
export type What = keyof typeof DEFINITIONS;
export const WHATS = Object.keys(DEFINITIONS) as What[];
export const TAGS = ["v1", "prod"] as const;

// What can happen

interface Acts {
  readonly push: { readonly what: What; readonly tags: readonly string[] };
  readonly quarantine: { readonly what: What };
  readonly delete: { readonly what: What };
  readonly promote: { readonly what: What; readonly tags: readonly string[]; readonly covers: readonly What[] };
  readonly revoke: { readonly what: What; readonly permanent: boolean; readonly everywhere: boolean };
  readonly deleteTag: { readonly tag: string };
  readonly rollBack: { readonly tag: string; readonly to: What | null };
  readonly pushBlob: { readonly content: string };
  readonly mount: { readonly content: string; readonly from: Place };
  readonly deleteBlob: { readonly content: string };
}
type Kind = keyof Acts;
export type Act = { readonly [K in Kind]: Acts[K] & { readonly kind: K; readonly who: Name; readonly place: Place } }[Kind];

interface Handler<K extends Kind> {
  foretold(model: ReferenceModel, actor: Actor, act: Extract<Act, { kind: K }>): Outcome | boolean;
  done(at: Transitions, caller: Caller, act: Extract<Act, { kind: K }>): Promise<unknown>;
}

const HANDLERS: { readonly [K in Kind]: Handler<K> } = {
  push: {
    foretold: (model, actor, { place, what, tags }) => model.push(actor, model.at(place), DEFINITIONS[what], tags),
    done: (at, caller, { place, what, tags }) => at.manifest(caller, place, DEFINITIONS[what].manifest, ...tags),
  },
  quarantine: {
    foretold: (model, actor, { place, what }) => model.quarantine(actor, model.at(place), DEFINITIONS[what].digest),
    done: (at, caller, { place, what }) => at.quarantine(caller, place, DEFINITIONS[what].digest),
  },
  delete: {
    foretold: (model, actor, { place, what }) => model.delete(actor, model.at(place), DEFINITIONS[what].digest),
    done: (at, caller, { place, what }) => at.delete(caller, place, DEFINITIONS[what].digest),
  },
  promote: {
    foretold: (model, actor, { place, what, tags, covers }) =>
      model.promote(actor, model.at(place), DEFINITIONS[what].digest, { tags, covers: covers.map((each) => DEFINITIONS[each].digest) }),
    done: (at, caller, { place, what, tags, covers }) =>
      at.promote(caller, place, DEFINITIONS[what].digest, { tags: tags.map(tag), covers: covers.map((each) => DEFINITIONS[each].digest) }),
  },
  revoke: {
    foretold: (model, actor, act) => model.revoke(actor, model.at(act.place), DEFINITIONS[act.what].digest, act),
    done: (at, caller, { place, what, permanent, everywhere }) =>
      at.revoke(caller, place, DEFINITIONS[what].digest, { permanent, everywhere }),
  },
  deleteTag: {
    foretold: (model, actor, act) => model.deleteTag(actor, model.at(act.place), act.tag),
    done: (at, caller, act) => at.deleteTag(caller, act.place, act.tag),
  },
  rollBack: {
    foretold: (model, actor, act) => model.rollBack(actor, model.at(act.place), act.tag, act.to && DEFINITIONS[act.to].digest),
    done: (at, caller, act) => at.rollBack(caller, act.place, act.tag, act.to && DEFINITIONS[act.to].digest),
  },
  pushBlob: {
    foretold: (model, actor, { place, content }) => model.pushBlob(actor, model.at(place), digestOf(content)),
    done: (at, caller, { place, content }) => at.blob(caller, place, content),
  },
  mount: {
    foretold: (model, actor, { who, place, from, content }) =>
      model.mount(actor, model.at(place), { repo: model.at(from), reading: actorIn(who, from) }, digestOf(content)),
    done: (at, caller, { place, from, content }) =>
      mountBlob(at.services, caller, { repository: repository(place), digest: digestOf(content), from }),
  },
  deleteBlob: {
    foretold: (model, actor, { place, content }) => model.deleteBlob(actor, model.at(place), digestOf(content)),
    done: (at, caller, { place, content }) => at.deleteBlob(caller, place, digestOf(content)),
  },
};

/** What the model says of an act, and does. */
export function foretell(model: ReferenceModel, act: Act): Outcome | boolean {
  const handler = HANDLERS[act.kind] as unknown as Handler<Kind>;
  return handler.foretold(model, actorIn(act.who, act.place), act);
}

/** The same act on the registry, and what came of it. */
export async function perform(at: Transitions, act: Act): Promise<Outcome | boolean> {
  const handler = HANDLERS[act.kind] as unknown as Handler<Kind>;
  try {
    const result = await handler.done(at, callerOf(act.who), act);
    return typeof result === "boolean" ? result : "done";
  } catch (error) {
    return outcomeOf(error);
  }
}

// At random

const place = fc.constantFrom(...PLACES);
const what = fc.constantFrom(...WHATS);
const anyone = fc.constantFrom(...NAMES);
const mostlyOlga = fc.oneof({ weight: 4, arbitrary: fc.constant<Name>("olga") }, { weight: 1, arbitrary: anyone });
const aTag = fc.constantFrom(...TAGS);
const content = fc.constantFrom(...CONTENTS);
const rarely = fc.nat(5).map((n) => n === 5);

function actOf<K extends Kind>(
  kind: K,
  who: fc.Arbitrary<Name> | "pusher",
  rest: { readonly [P in keyof Acts[K]]: fc.Arbitrary<Acts[K][P]> },
): fc.Arbitrary<Act> {
  const acts = fc.record({ kind: fc.constant(kind), who: who === "pusher" ? fc.nat(5) : who, place, ...rest });
  // One who pushes does so where it may; that a door turns others away is not the use case's affair.
  return acts.map((act) => ({ ...act, who: typeof act.who === "number" ? pusher(act.who, act.place) : act.who }) as unknown as Act);
}

/** Any act; those that make for rich states come more often. */
export const anAct: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: actOf("push", "pusher", { what, tags: fc.subarray([...TAGS]) }) },
  { weight: 2, arbitrary: actOf("quarantine", anyone, { what }) },
  { weight: 2, arbitrary: actOf("delete", mostlyOlga, { what }) },
  {
    weight: 8,
    arbitrary: actOf("promote", mostlyOlga, {
      what,
      tags: fc.subarray([...TAGS], { maxLength: 1 }),
      covers: fc.subarray<What>(["README"]),
    }),
  },
  { weight: 5, arbitrary: actOf("revoke", mostlyOlga, { what, permanent: rarely, everywhere: rarely }) },
  { weight: 1, arbitrary: actOf("deleteTag", anyone, { tag: aTag }) },
  { weight: 1, arbitrary: actOf("rollBack", fc.constantFrom<Name>("mona", "olga"), { tag: aTag, to: fc.option(what) }) },
  { weight: 2, arbitrary: actOf("pushBlob", "pusher", { content }) },
  { weight: 2, arbitrary: actOf("mount", "pusher", { content, from: place }) },
  { weight: 1, arbitrary: actOf("deleteBlob", anyone, { content }) },
);
