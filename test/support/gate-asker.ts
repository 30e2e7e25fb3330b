import { type Probe, faultsOfAnswer } from "./gate-probes.ts";
import { actorOf } from "./gate-scenes.ts";
import type { Answer, GateWorld, Principal } from "./gate-world.ts";
import { DEFINITIONS, WHATS, type What } from "./lifecycle-acts.ts";

/** Asks the doors of a registry, and compares what they answer with what the model says. */
export class GateAsker {
  readonly world: GateWorld;
  /** What the doors answer to what never was, each asked once: by who asks, and how. */
  readonly #misses = new Map<string, Promise<Answer>>();

  constructor(world: GateWorld) {
    this.world = world;
  }

  get(principal: Principal, path: string): Promise<Answer> {
    return this.world.ask(this.world.authorization(principal.name), path);
  }

  /** What is wrong with the answers to some probes. */
  async faults(principal: Principal, place: string, probes: readonly Probe[]): Promise<string[]> {
    const said = { model: this.world.model, actor: actorOf(principal, place) };
    const authorization = this.world.authorization(principal.name);
    const faults = await Promise.all(
      probes.map(async (probe) => {
        const answer = await this.world.ask(authorization, probe.path, probe.asked);
        return faultsOfAnswer(probe, said, { answer, miss: await this.#missOf(principal, probe, place) });
      }),
    );
    return faults.flat();
  }

  #missOf({ name }: Principal, { door, miss, asked }: Probe, place: string): Promise<Answer> {
    const key = [name, place, door].join(" ");
    const known = this.#misses.get(key) ?? this.world.ask(this.world.authorization(name), miss, asked);
    this.#misses.set(key, known);
    return known;
  }

  /** The entries of a list, by name or digest. */
  async list(principal: Principal, path: string, member: string): Promise<{ readonly names: readonly string[]; readonly answer: Answer }> {
    const answer = await this.get(principal, path);
    const parsed = answer.status === 200 ? (JSON.parse(answer.body.toString("utf8")) as Lists) : {};
    return { names: (parsed[member] ?? []).map((each) => (typeof each === "string" ? each : each.digest)), answer };
  }

  /** The referrers that are listed, but for statements. */
  async referrers(
    principal: Principal,
    place: string,
    subject: string,
  ): Promise<{ readonly labels: readonly What[]; readonly answer: Answer }> {
    const { names, answer } = await this.list(principal, `/v2/${place}/referrers/${subject}`, "manifests");
    return { labels: labelled(names), answer };
  }
}

type Lists = Readonly<Record<string, readonly (string | { readonly digest: string })[]>>;

/** The labels of digests, in order; what is no artifact of ours is left out. */
export function labelled(digests: readonly string[]): readonly What[] {
  return WHATS.filter((label) => digests.includes(DEFINITIONS[label].digest));
}
