import { type Probe, faultsOfAnswer } from "./gate-probes.ts";
import { actorOf } from "./gate-scenes.ts";
import type { Answer, Asked, GateWorld, Principal } from "./gate-world.ts";
import { DEFINITIONS, WHATS, type What } from "./lifecycle-acts.ts";

/** Asks the doors of a registry, and compares what they answer with what the model says. */
export class GateAsker {
  readonly world: GateWorld;
  /** What the doors answer to what never was, each asked once: by who asks, and how. */
  readonly #misses = new Map<string, Promise<Answer>>();

  constructor(world: GateWorld) {
    this.world = world;
  }

  /** By the API with its key, and for pages with a session. */
  async ask({ name }: Principal, path: string, asked: Asked = {}): Promise<Answer> {
    if (!path.startsWith("/ui/")) return this.world.ask(this.world.authorization(name), path, asked);
    return this.world.ask(undefined, path, { ...asked, headers: { ...asked.headers, ...(await this.world.session(name)) } });
  }

  get(principal: Principal, path: string): Promise<Answer> {
    return this.ask(principal, path);
  }

  /** What is wrong with the answers to some probes. */
  async faults(principal: Principal, place: string, probes: readonly Probe[]): Promise<string[]> {
    const said = { model: this.world.model, actor: actorOf(principal, place) };
    // Pages are shown to nobody who is not signed in.
    const isKnown = this.world.authorization(principal.name) !== undefined;
    const asked = probes.filter(({ path }) => isKnown || !path.startsWith("/ui/"));
    const faults = await Promise.all(
      asked.map(async (probe) => {
        const answer = await this.ask(principal, probe.path, probe.asked);
        return faultsOfAnswer(probe, said, { answer, miss: await this.#missOf(principal, probe, place) });
      }),
    );
    return faults.flat();
  }

  #missOf(principal: Principal, { door, miss, asked }: Probe, place: string): Promise<Answer> {
    const key = [principal.name, place, door].join(" ");
    const known = this.#misses.get(key) ?? this.ask(principal, miss, asked);
    this.#misses.set(key, known);
    return known;
  }

  /** The artifacts that a page of a list and those after it lead to, as `<repository>@<digest>`. */
  async linked(principal: Principal, path: string): Promise<readonly string[]> {
    const refs: string[] = [];
    for (let page: string | undefined = path; page !== undefined;) {
      const text: string = (await this.get(principal, page)).body.toString("utf8");
      refs.push(...[...text.matchAll(/href="\/ui\/artifacts\/([^"/]+(?:\/[^"/@]+)*@[^"/]+)"/g)].map(([, ref = ""]) => ref));
      page = /href="([^"]+)" rel="next"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
    }
    return refs;
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
