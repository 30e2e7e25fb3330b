import type { Command } from "commander";
import { z } from "zod";
import type { Digest } from "../../oci/digest.ts";
import { type NativeClient, artifactPath } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import type { Referrer, ReferrerTree } from "../json-outputs.ts";
import { refArgument } from "../options.ts";
import type { Repository } from "../registry-client.ts";
import type { OpenSession } from "../session.ts";
import { findRef } from "../target.ts";
import { visible } from "../visible.ts";

const MAX_DEPTH = 8;
const MAX_NODES = 10_000;
const STATE = "dev.ai-model-registry.lifecycle.state";
const RESULT = "dev.ai-model-registry.verification.result";
const VERDICT = "dev.ai-model-registry.approval.verdict";
const PERSON = "dev.ai-model-registry.approval.person";
const PREDICATE = "dev.sigstore.bundle.predicateType";
const CREATED = "org.opencontainers.image.created";

const HELP = `
The registry's own statements tell the artifact's history: each has the state that it led to. Summaries of promotions and revocations for
other tools say PASSED or FAILED, and approvals who approved it or took that back. Their lines begin with "[registry]", since the registry
names them in its history of the artifact, and no other line does. What any other manifest says of itself, whoever pushed it, follows
"says:", in quotes where it is more than a plain word: it proves nothing. "securectl history" tells what the registry did, "securectl
export" and "verify-layout" prove it.

Examples:
  securectl discover models/phi-3:v1
  securectl discover models/phi-3:v1 --artifact-type application/vnd.dev.sigstore.bundle.v0.3+json --json`;

/** `discover`: signatures, attestations and statements of an artifact. */
export function addDiscover(program: Command, open: OpenSession): void {
  program
    .command("discover")
    .summary("show what is attached to an artifact")
    .description(
      "Show the tree of what is attached to an artifact: signatures, attestations, SBOMs, reports and the registry's statements.",
    )
    .addArgument(refArgument())
    .option("--artifact-type <type>", "only what is of this type")
    .addHelpText("after", HELP)
    .action(async (text: string, options: { readonly artifactType?: string }, command: Command) => {
      const session = open(command);
      const { ref } = await findRef(session, "operator", text);
      const repository = (await session.registry("operator")).repository(ref.repository);
      const digest = await repository.resolve(ref.digest ?? ref.tag ?? "");
      const native = await session.native("operator");
      const walk = new Walk(repository, native, options.artifactType);
      const tree: ReferrerTree = { repository: ref.repository, digest, referrers: await walk.referrersOf(digest, 1) };
      session.show(tree, () => [`${ref.repository}@${digest}`, ...lines(tree.referrers, "")].join("\n"));
      if (walk.cut) session.terminal.warn(`Only the first ${MAX_NODES} referrers, at most ${MAX_DEPTH} deep, are shown.`);
    });
}

type Listed = Omit<Referrer, "of_registry" | "referrers">;

class Walk {
  cut = false;
  readonly #repository: Repository;
  readonly #native: NativeClient;
  readonly #artifactType: string | undefined;
  readonly #seen = new Set<string>();

  constructor(repository: Repository, native: NativeClient, artifactType: string | undefined) {
    this.#repository = repository;
    this.#native = native;
    this.#artifactType = artifactType;
  }

  async referrersOf(subject: Digest, depth: number): Promise<Referrer[]> {
    const listed = await this.#listed(subject, depth);
    // One request more, where anything looks like a statement.
    const own = listed.some(looksOwn) ? await this.#statementsAbout(subject) : new Set();
    const nodes: Referrer[] = [];
    for (const each of listed)
      nodes.push({ ...each, of_registry: own.has(each.digest), referrers: await this.referrersOf(each.digest, depth + 1) });
    return nodes;
  }

  async #listed(subject: Digest, depth: number): Promise<readonly Listed[]> {
    const listed: Listed[] = [];
    for await (const { digest, mediaType, artifactType, annotations } of this.#repository.referrers(subject, this.#artifactType)) {
      if (this.#seen.size >= MAX_NODES || depth > MAX_DEPTH) {
        this.cut = true;
        break;
      }
      // Something that refers to itself by way of others would never end.
      if (this.#seen.has(digest)) continue;
      this.#seen.add(digest);
      listed.push({ digest, mediaType, artifactType, annotations });
    }
    return listed;
  }

  /** The manifests that the registry itself names in its history of a subject. */
  async #statementsAbout(digest: Digest): Promise<ReadonlySet<string>> {
    const path = artifactPath({ repository: this.#repository.name, digest, tag: undefined }, "history");
    const { history, approvals } = await this.#native.request({ method: "GET", path }, historySchema).catch(noHistory);
    const named = [...history.flatMap(({ manifest, summary }) => [manifest, summary]), ...approvals.map(({ manifest }) => manifest)];
    return new Set(named.filter((manifest) => manifest !== null));
  }
}

/** A registry one version older names neither summaries nor approvals: it marks fewer lines as its own, and the command works. */
const historySchema = z.looseObject({
  history: z.array(z.looseObject({ manifest: z.string().nullable(), summary: z.string().nullable().default(null) })),
  approvals: z.array(z.looseObject({ manifest: z.string() })).default([]),
});

/** Of what the registry has no record that the caller may see, it says nothing. */
function noHistory(error: unknown): z.infer<typeof historySchema> {
  if (error instanceof CliError && (error.exit === EXIT.notFound || error.exit === EXIT.denied)) return { history: [], approvals: [] };
  throw error;
}

function looksOwn({ annotations }: Listed): boolean {
  return [STATE, RESULT, VERDICT].some((name) => annotations?.[name] !== undefined);
}

function* lines(nodes: readonly Referrer[], indent: string): Generator<string> {
  for (const [at, node] of nodes.entries()) {
    const last = at === nodes.length - 1;
    yield `${indent}${last ? "└── " : "├── "}${visible(nodeText(node))}`;
    yield* lines(node.referrers, indent + (last ? "    " : "│   "));
  }
}

/** The registry's word comes first, where nothing that others wrote can stand. */
function nodeText({ digest, mediaType, artifactType, annotations, of_registry: own }: Referrer): string {
  const notes = notesOf(annotations ?? {}, own);
  const said = notes.length === 0 ? "" : `${own ? "" : " says:"} ${notes.join(", ")}`;
  return `${own ? "[registry] " : ""}${quoted(artifactType ?? mediaType)} ${digest}${said}`;
}

/** What a manifest says of itself; the registry's own are told by what they state, better than by its type. */
function notesOf(said: Readonly<Record<string, string>>, own: boolean): readonly string[] {
  const of = (name: string): string | undefined => (said[name] === undefined ? undefined : quoted(said[name]));
  const verdict = of(VERDICT) && `${of(VERDICT)} by ${of(PERSON) ?? "nobody"}`;
  const predicate = own ? undefined : of(PREDICATE);
  return [of(STATE), of(RESULT), verdict, predicate, of(CREATED)].filter((note) => note !== undefined);
}

/** Whoever pushes a manifest writes its type and annotations: what is no plain word is quoted, so that it ends where it says. */
function quoted(text: string): string {
  return /^[\w.+:/@=-]+$/.test(text) ? text : JSON.stringify(text);
}
