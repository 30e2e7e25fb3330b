import { repositoryOfModel } from "../../src/oci/model-name.ts";
import { NOBODY, OPERATOR, PUBLISHER, READER, REVIEWER, SCANNER } from "./actors.ts";
import { EVERY_CONTENT, type ProbingActor } from "./gate-probes.ts";
import { GateWorld, type Principal } from "./gate-world.ts";
import { CONTENTS, type What } from "./lifecycle-acts.ts";

/** Every kind of caller. */
export const PRINCIPALS: readonly Principal[] = [
  { name: "anonymous", role: undefined, namespace: "", models: NOBODY, others: NOBODY },
  { name: "stranger", role: "reader", namespace: "void", models: NOBODY, others: NOBODY },
  { name: "runner", role: "reader", namespace: "*", models: READER, others: READER },
  { name: "elsewhere", role: "reader", namespace: "others", models: NOBODY, others: READER },
  { name: "producer", role: "publisher", namespace: "models", models: PUBLISHER, others: NOBODY },
  { name: "outsider", role: "publisher", namespace: "others", models: NOBODY, others: PUBLISHER },
  { name: "reviewer", role: "reviewer", namespace: "models", models: REVIEWER, others: NOBODY },
  { name: "scanner", role: "scanner", namespace: "models", models: SCANNER, others: NOBODY },
  { name: "auditor", role: "auditor", namespace: "*", models: NOBODY, others: NOBODY, audits: true },
  { name: "operator", role: undefined, namespace: "*", models: OPERATOR, others: OPERATOR, audits: true },
];

/** Reads what is trusted in one namespace and pushes in another. */
export const MOUNTER: Principal = {
  name: "mounter",
  role: "publisher",
  namespace: "others",
  reads: "models",
  models: READER,
  others: PUBLISHER,
};

/** A repository in the making. */
export class Scene {
  readonly world: GateWorld;
  readonly place: string;
  readonly #pusher: string;

  constructor(world: GateWorld, place: string) {
    this.world = world;
    this.place = place;
    this.#pusher = place.startsWith("models/") ? "producer" : "outsider";
  }

  async push(...labels: readonly What[]): Promise<this> {
    for (const label of labels) await this.world.push(this.#pusher, this.place, label, label.toLowerCase());
    return this;
  }
  async retag(label: What, tag: string): Promise<this> {
    await this.world.push(this.#pusher, this.place, label, tag);
    return this;
  }
  async blobs(...contents: readonly string[]): Promise<this> {
    // At once, since each by itself waits for the disk.
    await Promise.all(contents.map((content) => this.world.pushBlob(this.#pusher, this.place, content)));
    return this;
  }
  async approve(label: What): Promise<this> {
    await this.world.approve(this.place, label);
    return this;
  }
  async do(event: "quarantine" | "promote" | "revoke" | "delete", label: What, asked = {}): Promise<this> {
    await this.world.transition(this.place, label, event, asked);
    return this;
  }
}

const EVERYTHING = ["ONE", "TWO", "TREE", "GROVE", "SIGNED", "COUNTERSIGNED", "BILL", "README"] as const;

/** Every state, and every way in which bytes hang together: each in a repository of its own. */
const SCENES = {
  "never pushed": (s: Scene) => s.push("TWO"),
  acquired: (s: Scene) => s.push("ONE", "SIGNED", "README"),
  "acquired and approved": async (s: Scene) => (await s.push("ONE", "TREE")).approve("ONE"),
  quarantined: async (s: Scene) => (await s.push("ONE")).do("quarantine", "ONE"),
  trusted: async (s: Scene) => (await s.push("ONE")).do("promote", "ONE"),
  "approved before and after trust": async (s: Scene) =>
    (await (await (await s.push("ONE", "SIGNED")).approve("ONE")).do("promote", "ONE")).approve("SIGNED"),
  "approved, then revoked": async (s: Scene) =>
    (await (await (await s.push("ONE")).approve("ONE")).do("promote", "ONE")).do("revoke", "ONE"),
  "approved, deleted and pushed again": async (s: Scene) =>
    (await (await (await (await s.push("ONE")).approve("ONE")).do("promote", "ONE")).do("delete", "ONE")).push("ONE"),
  "re-promoted": async (s: Scene) => (await (await s.push("ONE")).do("promote", "ONE")).do("promote", "ONE"),
  "revoked after trust": async (s: Scene) => (await (await s.push("ONE", "SIGNED")).do("promote", "ONE")).do("revoke", "ONE"),
  "revoked and never trusted": async (s: Scene) => (await s.push("ONE", "SIGNED")).do("revoke", "ONE"),
  "revoked out of quarantine": async (s: Scene) => (await (await s.push("ONE")).do("quarantine", "ONE")).do("revoke", "ONE"),
  "permanently revoked": async (s: Scene) => (await (await s.push("ONE")).do("promote", "ONE")).do("revoke", "ONE", { permanent: true }),
  reinstated: async (s: Scene) => (await (await (await s.push("ONE")).do("promote", "ONE")).do("revoke", "ONE")).do("promote", "ONE"),
  "deleted after trust": async (s: Scene) => (await (await s.push("ONE", "SIGNED")).do("promote", "ONE")).do("delete", "ONE"),
  "deleted and never trusted": async (s: Scene) => (await s.push("ONE")).do("delete", "ONE"),
  "deleted and pushed again": async (s: Scene) =>
    (await (await (await s.push("ONE")).do("promote", "ONE")).do("delete", "ONE")).push("ONE"),
  "revoked, deleted and pushed again": async (s: Scene) =>
    (await (await (await (await s.push("ONE")).do("promote", "ONE")).do("revoke", "ONE")).do("delete", "ONE")).push("ONE"),
  "tag moved away after promotion": async (s: Scene) => (await (await s.push("ONE", "TWO")).do("promote", "ONE")).retag("TWO", "one"),
  "tag moved away, then revoked": async (s: Scene) =>
    (await (await (await s.push("ONE", "TWO")).do("promote", "ONE")).retag("TWO", "one")).do("revoke", "ONE"),
  "tag moved to another trusted artifact": async (s: Scene) =>
    (await (await (await s.push("ONE", "TWO")).do("promote", "ONE")).do("promote", "TWO")).retag("TWO", "one"),
  "hidden tree": (s: Scene) => s.push(...EVERYTHING),
  "trusted tree": async (s: Scene) => (await s.push(...EVERYTHING)).do("promote", "GROVE"),
  "trusted tree with an approved branch": async (s: Scene) =>
    (await (await (await s.push(...EVERYTHING)).approve("TREE")).do("promote", "GROVE")).approve("ONE"),
  "trusted middle of a hidden tree": async (s: Scene) => (await s.push(...EVERYTHING)).do("promote", "TREE"),
  "revoked tree": async (s: Scene) => (await (await s.push(...EVERYTHING)).do("promote", "GROVE")).do("revoke", "GROVE"),
  "revoked tree, never trusted": async (s: Scene) => (await s.push(...EVERYTHING)).do("revoke", "GROVE"),
  "deleted tree": async (s: Scene) => (await (await s.push(...EVERYTHING)).do("promote", "GROVE")).do("delete", "GROVE"),
  "tree with a revoked grandchild": async (s: Scene) => (await (await s.push(...EVERYTHING)).do("promote", "GROVE")).do("revoke", "ONE"),
  "tree with a revoked branch": async (s: Scene) => (await (await s.push(...EVERYTHING)).do("promote", "GROVE")).do("revoke", "TREE"),
  "revoked tree with a grandchild trusted by itself": async (s: Scene) =>
    (await (await (await s.push(...EVERYTHING)).do("promote", "GROVE")).do("promote", "TWO")).do("revoke", "GROVE"),
  "layer shared by trusted and untrusted": async (s: Scene) => (await s.push("ONE", "TWO")).do("promote", "ONE"),
  "layer shared by untrusted alone": (s: Scene) => s.push("ONE", "TWO"),
  "layer shared by revoked and untrusted": async (s: Scene) =>
    (await (await s.push("ONE", "TWO")).do("promote", "ONE")).do("revoke", "ONE"),
  "layer shared by revoked and what was pushed later": async (s: Scene) =>
    (await (await (await s.push("ONE")).do("promote", "ONE")).do("revoke", "ONE")).push("TWO"),
  "layer shared by revoked and trusted": async (s: Scene) =>
    (await (await (await s.push("ONE", "TWO")).do("promote", "ONE")).do("promote", "TWO")).do("revoke", "ONE"),
  "evidence before and after promotion": async (s: Scene) =>
    (await (await s.push("ONE", "SIGNED", "COUNTERSIGNED", "README")).do("promote", "ONE")).push("LATE"),
  "evidence covered by promoting again": async (s: Scene) =>
    (await (await (await s.push("ONE", "SIGNED")).do("promote", "ONE")).push("LATE", "COUNTERSIGNED")).do("promote", "ONE"),
  "covered evidence that is revoked": async (s: Scene) =>
    (await (await s.push("ONE", "SIGNED", "COUNTERSIGNED")).do("promote", "ONE")).do("revoke", "SIGNED"),
  "trusted evidence of a hidden subject": async (s: Scene) => (await s.push("ONE", "SIGNED")).do("promote", "SIGNED"),
  "evidence of a revoked subject": async (s: Scene) =>
    (await (await s.push("ONE", "SIGNED", "README")).do("promote", "ONE")).do("revoke", "ONE"),
  "evidence before its subject": (s: Scene) => s.push("SIGNED", "COUNTERSIGNED"),
} as const satisfies Readonly<Record<string, (scene: Scene) => Promise<unknown>>>;
export type SceneName = keyof typeof SCENES;
const names = Object.keys(SCENES) as SceneName[];

/** The repository of a scene. */
export function placeOf(name: SceneName): string {
  return `models/scene-${names.indexOf(name)}`;
}

/** Every state of what was registered by the predecessor's API, as steps that lead there. */
const REGISTERED = {
  "registered: acquired": [],
  "registered: quarantined": ["quarantine"],
  "registered: trusted": ["promote"],
  "registered: promoted out of quarantine": ["quarantine", "promote"],
  "registered: revoked after trust": ["promote", "revoke"],
  "registered: revoked and never trusted": ["revoke"],
  "registered: reinstated": ["promote", "revoke", "promote"],
  "registered: deleted after trust": ["promote", "delete"],
  "registered: deleted and never trusted": ["delete"],
  "registered: deleted and acquired again": ["promote", "delete", "acquire"],
  "registered: revoked, deleted and acquired again": ["promote", "revoke", "delete", "acquire"],
} as const satisfies Readonly<Record<string, readonly ("acquire" | "quarantine" | "promote" | "revoke" | "delete")[]>>;

export const ELSEWHERE = "others/same-bytes";
/** Two repositories of one index that was trusted in both, and revoked everywhere from the first; it is in no other one. */
const WIDE = { here: "models/revoked-everywhere", elsewhere: "others/revoked-everywhere" } as const;

/** What each repository shows, and where it is. */
export const PLACES: readonly (readonly [string, string])[] = [
  ...names.map((name) => [name, placeOf(name)] as const),
  ...Object.keys(REGISTERED).map((name) => [name, repositoryOfModel(name)] as const),
  ["the same bytes in another repository", ELSEWHERE],
  ["revoked everywhere from here", WIDE.here],
  ["revoked everywhere from elsewhere", WIDE.elsewhere],
];

/** A registry with all of these repositories. */
export async function startScenes(): Promise<GateWorld> {
  const world = await GateWorld.start([...PRINCIPALS, MOUNTER]);
  for (const [name, script] of Object.entries(SCENES)) {
    const scene = new Scene(world, placeOf(name as SceneName));
    await scene.blobs(...EVERY_CONTENT);
    await script(scene);
  }
  for (const [name, steps] of Object.entries(REGISTERED)) {
    await world.register(name);
    for (const step of steps) await (step === "acquire" ? world.register(name) : world.move(repositoryOfModel(name), step));
  }
  await (await new Scene(world, ELSEWHERE).blobs(...CONTENTS)).push(...EVERYTHING);
  for (const place of Object.values(WIDE)) {
    const scene = new Scene(world, place);
    await (await (await scene.blobs(...CONTENTS)).push("TWO", "SHRUB")).do("promote", "SHRUB");
  }
  await world.transition(WIDE.here, "SHRUB", "revoke", { everywhere: true });
  await world.followed();
  return world;
}

/** What a principal may do in a repository, for the model. */
export function actorOf({ models, others, name, audits = false }: Principal, place: string): ProbingActor {
  return { ...(place.startsWith("models/") ? models : others), name, audits };
}
