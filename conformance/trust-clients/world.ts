import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { artifactAnswer } from "../../src/api/artifact-answers.ts";
import { decisionAnswer } from "../../src/api/decision.ts";
import { must, mustSucceed } from "../must.ts";
import { type Ran, run } from "../run-program.ts";
import type { Person } from "../person.ts";
import type { RunningRegistry } from "../registry-process.ts";
import type { Report } from "../client-report.ts";
import type { Programs } from "./programs.ts";

/** The type of Sigstore bundles, as artifacts and as layers. */
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const MODEL = "application/vnd.cncf.model.manifest.v1+json";

const pushed = z.object({ digest: z.string() });
const referrer = z.object({
  digest: z.string(),
  artifactType: z.string().optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const discovered = z.object({ referrers: z.array(referrer) });
const layered = z.object({ layers: z.array(z.object({ digest: z.string(), mediaType: z.string() })) });

/** What `oras discover` shows of something attached. */
export type Referrer = z.infer<typeof referrer>;

/** A pushed artifact. */
export interface Artifact {
  readonly repository: string;
  readonly digest: string;
  /** As clients name it: host, repository and digest. */
  readonly reference: string;
  /** The folder with the files that were pushed. */
  readonly folder: string;
}

/** Who signs what, as a policy has it. */
export interface Wanted {
  readonly authorities: readonly object[];
  readonly require: readonly object[];
  readonly trustRoots?: Readonly<Record<string, object>>;
}

/** A registry with its people, and the programs that are tried on it. */
export class World {
  readonly registry: RunningRegistry;
  readonly programs: Programs;
  readonly report: Report;
  readonly publisher: Person;
  readonly operator: Person;
  readonly runtime: Person;
  readonly folder: string;

  constructor({ registry, programs, report, publisher, operator, runtime, folder }: Parts) {
    this.registry = registry;
    this.programs = programs;
    this.report = report;
    this.publisher = publisher;
    this.operator = operator;
    this.runtime = runtime;
    this.folder = folder;
  }

  /** A fresh folder below that of the run. */
  scratch(name: string): Promise<string> {
    return mkdtemp(join(this.folder, `${name}-`));
  }

  /** Runs a program as somebody whose credential docker's clients find, by default the publisher. */
  run(file: string, args: readonly string[], { env = {}, cwd = this.folder, as = this.publisher, input = "" }: As = {}): Promise<Ran> {
    return run(file, args, { cwd, input, env: { DOCKER_CONFIG: as.dockerConfig, HOME: this.folder, ...env } });
  }

  /** Pushes files with oras, as `v1`; by default weights of which there are no others, and a card. */
  async push(repository: string, files: Readonly<Record<string, Uint8Array | string>> = newModel()): Promise<Artifact> {
    const folder = await this.scratch("model");
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), bytes);
    }
    return this.pushFolder(repository, folder, Object.keys(files));
  }

  /** Pushes files of a folder with oras, as `v1`. */
  async pushFolder(repository: string, folder: string, names: readonly string[]): Promise<Artifact> {
    const name = `${this.registry.host}/${repository}`;
    const layers = names.map((file) => `${file}:application/octet-stream`);
    const args = ["push", `${name}:v1`, "--artifact-type", MODEL, "--format", "json", ...layers];
    const { digest } = pushed.parse(JSON.parse(mustSucceed(await this.publisher.oras(args, { cwd: folder }))));
    return { repository, digest, reference: `${name}@${digest}`, folder };
  }

  /** Copies an artifact with oras to another repository, as it is and without what is attached to it. */
  async copy({ reference, digest, folder }: Artifact, repository: string): Promise<Artifact> {
    const name = `${this.registry.host}/${repository}`;
    const plain = ["--from-plain-http", "--to-plain-http"];
    mustSucceed(await this.run(this.programs.oras.file, ["cp", ...plain, reference, `${name}:v1`]));
    return { repository, digest, reference: `${name}@${digest}`, folder };
  }

  /** Puts a policy in force that decides about one repository. */
  async policy(repository: string, { trustRoots = {}, ...wanted }: Wanted): Promise<void> {
    const name = repository.replaceAll("/", "-");
    const spec = { match: { repositories: [repository] }, trustRoots, ...wanted };
    const document = { apiVersion: "trust.ai-model-registry.dev/v1", kind: "TrustPolicy", metadata: { name }, spec };
    const file = join(await this.scratch("policy"), "policy.json");
    await writeFile(file, JSON.stringify(document));
    mustSucceed(await this.operator.securectl(["policy", "apply", file]));
  }

  /**
   * Promotes as the operator: `trusted`, or `refused` with the codes of all evidence that was looked at and does not count. A refusal must
   * leave the artifact in the state that it was in.
   */
  async promote({ repository, digest }: Artifact): Promise<string> {
    const path = `/v1/artifacts/${repository}@${digest}`;
    const before = await this.stateOf({ repository, digest });
    const answer = await this.operator.fetch(`${path}/promote`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    const body: unknown = await answer.json();
    const after = await this.stateOf({ repository, digest });
    if (answer.status === 200) return after;
    must(answer.status === 422, `promote answered ${answer.status}: ${JSON.stringify(body)}`);
    must(after === before, `a refused promotion left the state ${after}, it was ${before}`);
    return `refused: ${reasonsIn(decisionAnswer.parse(z.object({ decision: z.unknown() }).parse(body).decision))}`;
  }

  async stateOf({ repository, digest }: Pick<Artifact, "repository" | "digest">): Promise<string> {
    const answer = await this.operator.fetch(`/v1/artifacts/${repository}@${digest}`);
    return artifactAnswer.parse(await answer.json()).state;
  }

  /** What is attached to an artifact, as `oras discover` shows it to its publisher. */
  async attached({ reference }: Pick<Artifact, "reference">): Promise<readonly Referrer[]> {
    const out = mustSucceed(await this.publisher.oras(["discover", reference, "--depth", "1", "--format", "json"]));
    return discovered.parse(JSON.parse(out)).referrers;
  }

  /** The bytes of the only layer of something attached. */
  async content({ repository }: Pick<Artifact, "repository">, digest: string): Promise<Buffer> {
    const name = `${this.registry.host}/${repository}`;
    const manifest = mustSucceed(await this.publisher.oras(["manifest", "fetch", `${name}@${digest}`]));
    const { layers } = layered.parse(JSON.parse(manifest));
    must(layers.length === 1 && layers[0] !== undefined, `${digest} has ${layers.length} layers`);
    const file = join(await this.scratch("layer"), "layer");
    mustSucceed(await this.publisher.oras(["blob", "fetch", `${name}@${layers[0].digest}`, "--output", file]));
    return readFile(file);
  }

  /** The bytes of all Sigstore bundles that are attached and that the registry did not write itself. */
  async bundlesOf(artifact: Artifact): Promise<readonly Buffer[]> {
    const bundles: Buffer[] = [];
    for (const { digest, artifactType, annotations } of await this.attached(artifact)) {
      const isOurs = Object.keys(annotations ?? {}).some((key) => key.startsWith("dev.ai-model-registry."));
      if (artifactType === BUNDLE && !isOurs) bundles.push(await this.content(artifact, digest));
    }
    return bundles;
  }

  /** Attaches one file with oras, as what it is said to be. */
  async attach({ reference }: Artifact, bytes: Uint8Array, type = BUNDLE): Promise<void> {
    const folder = await this.scratch("attach");
    await writeFile(join(folder, "evidence"), bytes);
    mustSucceed(await this.publisher.oras(["attach", reference, "--artifact-type", type, `evidence:${type}`], { cwd: folder }));
  }

  /** Has the registry keep a trusted root, and answers how a policy names it. */
  async trustRoot(name: string, file: string): Promise<{ readonly name: string; readonly digest: string }> {
    const out = mustSucceed(await this.operator.securectl(["trust", "add", name, file, "--json"]));
    return { name, digest: z.object({ digest: z.string() }).parse(JSON.parse(out)).digest };
  }

  async dispose(): Promise<void> {
    await this.registry.dispose();
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface As {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly as?: Person;
  readonly input?: string | Uint8Array;
}

interface Parts {
  readonly registry: RunningRegistry;
  readonly programs: Programs;
  readonly report: Report;
  readonly publisher: Person;
  readonly operator: Person;
  readonly runtime: Person;
  readonly folder: string;
}

/** A model of which there is no other. */
export function newModel(): Readonly<Record<string, Uint8Array | string>> {
  return { "weights.gguf": randomBytes(32 * 1024), "card.md": "# A model\n", "tokenizer/vocab.txt": "a b c\n" };
}

/** The codes of evidence that does not count for what is not met, in order; `no evidence` when there is none. */
function reasonsIn({ policies, evidence }: z.infer<typeof decisionAnswer>): string {
  const unmet = policies.flatMap(({ requirements }) => requirements.filter(({ met }) => !met));
  const codes = [...unmet.flatMap(({ rejected }) => rejected), ...evidence.skipped].map(({ code }) => code);
  return codes.length === 0 ? "no evidence" : [...new Set(codes)].toSorted().join(", ");
}
