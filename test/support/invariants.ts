import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { statementConfig } from "../../src/lifecycle/statement.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type Manifest, parseManifest } from "../../src/oci/manifest.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { formatKeys, waitingKeys } from "../../src/registry/artifact-index.ts";
import { runtimeFiles } from "../../src/registry/runtime-files.ts";
import { CONTENT_KINDS, type Content, keys, under } from "../../src/storage/keys.ts";
import type { Entry, Key, MetadataStore } from "../../src/storage/metadata-store.ts";
import { type ApprovalStatementRecord, approvalRecord, approvalStatementRecord } from "../../src/storage/policy-records.ts";
import {
  type ManifestRecord,
  type StatementRecord,
  coversRecord,
  manifestRecord,
  reachRecord,
  repositoryRecord,
  statementRecord,
  tagRecord,
} from "../../src/storage/records.ts";

const ALL = 1_000_000;

/**
 * What is wrong with the rows of a repository, given its records: everything that a transition materialises is computed anew from what
 * `keys.ts` says of it, and compared. Empty when all is right. Revocations everywhere must be finished.
 */
export async function faultsOf(metadata: MetadataStore, repository: RepositoryName, root: string): Promise<string[]> {
  const rows = await Rows.load(metadata, repository);
  return [
    ...rows.states(),
    ...rows.edges(),
    ...rows.reach(),
    ...rows.covered(),
    ...rows.tags(),
    ...rows.count(),
    ...rows.chains(),
    ...rows.approvals(),
    ...(await rows.tree(join(root, "trusted"))),
  ];
}

interface Known {
  readonly record: ManifestRecord;
  /** Undefined for what was deleted. */
  readonly manifest: Manifest | undefined;
}

type Link = StatementRecord & { readonly sequence: number };

class Rows {
  readonly #repository: RepositoryName;
  readonly #known: ReadonlyMap<Digest, Known>;
  readonly #names: ReadonlyMap<Digest, Digest>;
  readonly #families: ReadonlyMap<string, readonly Entry[]>;
  readonly #everywhere: ReadonlySet<string>;

  private constructor(repository: RepositoryName, families: ReadonlyMap<string, readonly Entry[]>, everywhere: ReadonlySet<string>) {
    this.#repository = repository;
    this.#families = families;
    this.#everywhere = everywhere;
    const contents = new Map(families.get("manifest-content")?.map(({ key, value }) => [String(key[2]), value]));
    const records = (families.get("manifest") ?? []).map(({ value }) => manifestRecord.parse(value));
    this.#known = new Map(records.map((record) => [record.digest, { record, manifest: parsed(contents.get(record.digest), record) }]));
    this.#names = new Map(
      records.flatMap(({ digest, sha512 }) => [
        [digest, digest],
        [sha512, digest],
      ]),
    );
  }

  static async load(metadata: MetadataStore, repository: RepositoryName): Promise<Rows> {
    const families = new Map<string, readonly Entry[]>();
    for (const name of FAMILIES) families.set(name, await metadata.list(under([name, repository], ALL)));
    families.set(
      "repository",
      [await metadata.get(keys.repository(repository))].filter((entry) => entry !== undefined),
    );
    families.set(
      "repository-trusted",
      [await metadata.get(keys.trustedRepository(repository))].filter((entry) => entry !== undefined),
    );
    const states = await metadata.list(under(["artifact-state"], ALL));
    families.set(
      "artifact-state",
      states.filter(({ key }) => key[2] === repository),
    );
    const waiting = await metadata.list(under(["waiting"], ALL));
    families.set(
      "waiting",
      waiting.filter(({ key }) => key[3] === repository),
    );
    const formats = await metadata.list(under(["artifact-format"], ALL));
    families.set(
      "artifact-format",
      formats.filter(({ key }) => key[2] === repository),
    );
    const everywhere = await metadata.list(under(["revoked-everywhere"], ALL));
    return new Rows(repository, families, new Set(everywhere.map(({ key }) => String(key[1]))));
  }

  states(): string[] {
    const expected = [...this.#known.values()]
      .filter(({ record }) => !record.statement)
      .map(({ record }) => text(keys.artifactState(record.state, this.#repository, record.digest)));
    const recalled = [...this.#known.values()]
      .filter(({ record }) => record.state === "revoked" && record.onceTrusted)
      .map(({ record }) => text(keys.artifactRecalled(this.#repository, record.digest)));
    const waiting = [...this.#known.values()].flatMap(({ record }) => waitingKeys(this.#repository, record).map(text));
    const formats = [...this.#known.values()].flatMap(({ record, manifest }) =>
      manifest === undefined || record.statement ? [] : formatKeys({ repository: this.#repository, record, manifest }).map(text),
    );
    return [
      ...differences("waiting", waiting, this.#keysOf("waiting")),
      ...differences("artifact-format", formats, this.#keysOf("artifact-format")),
      ...differences("artifact-state", expected, this.#keysOf("artifact-state")),
      ...differences("artifact-recalled", recalled, this.#keysOf("artifact-recalled")),
    ];
  }

  edges(): string[] {
    const rows = [...this.#known.values()].flatMap(({ record, manifest }) =>
      contentsOf(manifest).map((content) => ({ record, content, isDead: record.state === "revoked" })),
    );
    const of = (wanted: boolean): string[] =>
      rows
        .filter(({ isDead }) => isDead === wanted)
        .map(({ record, content }) => text((wanted ? keys.deadEdge : keys.edge)(this.#repository, content, record.digest)));
    return [...differences("edge", of(false), this.#keysOf("edge")), ...differences("dead-edge", of(true), this.#keysOf("dead-edge"))];
  }

  /** Rows of reach: what roots reach or cover, minus revoked branches; what was cut off; and the statements about all of it. */
  reach(): string[] {
    const [reach, denied] = [waysOf(this.#entries("reach")), waysOf(this.#entries("denied"))];
    const expected = { reach: new Set<string>(), denied: new Set<string>() };
    const statements = { some: new Set<string>(), by: new Set<string>() };
    for (const { record } of this.#roots()) {
      const { live, dead } = this.#reachOf(record);
      const about = this.#statementsAbout([...live, ...dead].filter((each) => each.startsWith("manifest ")));
      for (const each of about) {
        statements.some.add(each);
        statements.by.add(`${each} by ${record.digest}`);
      }
      for (const each of live) if (!about.has(each)) expected.reach.add(`${each} by ${record.digest}`);
      for (const each of dead) if (!about.has(each) && !live.has(each)) expected.denied.add(`${each} by ${record.digest}`);
    }
    // A statement that came later about a part of a root is shown by the part, which was a root by then.
    const shown = new Set([...reach].map((row) => row.slice(0, row.indexOf(" by "))));
    const byRoot = this.#entries("root-reach").map(({ key }) => `${String(key[3])} ${String(key[4])} by ${String(key[2])}`);
    return [
      ...differences(
        "reach",
        expected.reach,
        [...reach].filter((row) => !statements.by.has(row)),
      ),
      ...differences("denied", expected.denied, denied),
      ...differences("root-reach", [...reach, ...denied], byRoot),
      ...[...statements.some].filter((each) => !shown.has(each)).map((each) => `reach lacks the statement's ${each}`),
    ];
  }

  /** Which rows of reach say that a manifest is only covered. */
  covered(): string[] {
    const expected = this.#roots().flatMap(({ record }) => {
      const { live, parts } = this.#reachOf(record);
      const covered = [...live].filter((each) => each.startsWith("manifest ") && !parts.has(each));
      return covered.map((each) => `${each} by ${record.digest}`);
    });
    const found = this.#entries("reach").filter(({ value }) => reachRecord.parse(value).covered);
    return differences("covered", expected, waysOf(found));
  }

  #roots(): Known[] {
    return [...this.#known.values()].filter(
      ({ record }) => record.onceTrusted && (record.state === "trusted" || record.state === "revoked"),
    );
  }

  /** What is live by a root, all of it and what is live without its covers; and what was cut off. */
  #reachOf(root: ManifestRecord): { live: Set<string>; parts: Set<string>; dead: Set<string> } {
    const entry = this.#entries("covers").find(({ key }) => key[2] === root.digest);
    const starts = [root.digest, ...(entry === undefined ? [] : coversRecord.parse(entry.value).digests)];
    const [live, parts, dead, cut] = [new Set<string>(), new Set<string>(), new Set<string>(), new Set<Digest>()];
    if (root.state !== "trusted") for (const start of starts) cut.add(start);
    else for (const start of starts) this.#walk(start, live, cut);
    if (root.state === "trusted") this.#walk(root.digest, parts, new Set());
    for (const start of cut) this.#walk(start, dead, undefined);
    return { live, parts, dead };
  }

  /** Collects what a manifest reaches; a revoked one is not entered but put in `cut`, when there is one. */
  #walk(named: Digest, into: Set<string>, cut: Set<Digest> | undefined): void {
    const known = this.#known.get(this.#names.get(named) ?? named);
    if (known?.manifest === undefined || into.has(`manifest ${known.record.digest}`)) return;
    const { digest, state } = known.record;
    if (cut !== undefined && (state === "revoked" || this.#everywhere.has(digest))) {
      cut.add(digest);
      return;
    }
    into.add(`manifest ${digest}`);
    for (const blob of known.manifest.blobReferences) into.add(`blob ${blob.digest}`);
    for (const child of known.manifest.manifestReferences) this.#walk(child.digest, into, cut);
  }

  #statementsAbout(manifests: readonly string[]): ReadonlySet<string> {
    const about = manifests.map((each) => each.slice("manifest ".length));
    const written = about.flatMap((each) => this.#chain(each)).filter(({ manifest }) => manifest !== null);
    const approvals = about.flatMap((each) => this.#approvalsOf(each));
    return new Set([
      ...approvals.flatMap(({ manifest, bundle }) => [
        `manifest ${manifest}`,
        `blob ${bundle}`,
        `blob ${digestOf(statementConfig(this.#repository))}`,
      ]),
      ...written.flatMap(({ manifest, bundle, summary, unsigned, digest }) => [
        `manifest ${manifest}`,
        `blob ${bundle ?? digest}`,
        `blob ${digestOf(statementConfig(this.#repository))}`,
        ...(summary === undefined ? [] : [`manifest ${summary.manifest}`, `blob ${summary.bundle}`]),
        ...(unsigned === undefined ? [] : [`manifest ${unsigned}`, `blob ${digest}`]),
      ]),
    ]);
  }

  #approvalsOf(manifest: string): (ApprovalStatementRecord & { readonly sequence: number })[] {
    return this.#entries("approval-statement")
      .filter(({ key }) => key[2] === manifest)
      .map(({ key, value }) => ({ ...approvalStatementRecord.parse(value), sequence: Number(key[3]) }));
  }

  /** What was signed of approvals goes on without a gap, names the payload before, and is stored; what is kept of a person names a part of it. */
  approvals(): string[] {
    const faults = [...this.#known.keys()].flatMap((manifest) => {
      const statements = this.#approvalsOf(manifest);
      return statements.flatMap((each, at) => [
        ...placeFaults(each, statements[at - 1]),
        ...this.#storageFaults(each.sequence, each.manifest),
      ]);
    });
    const kept = this.#entries("approval").map(({ key, value }) => ({ manifest: String(key[2]), ...approvalRecord.parse(value) }));
    const lost = kept.filter(({ manifest, statement }) => !this.#approvalsOf(manifest).some(({ digest }) => digest === statement?.digest));
    return [...faults, ...lost.map(({ by }) => `the approval of ${by} is not signed`)];
  }

  #chain(manifest: string): Link[] {
    return this.#entries("statement")
      .filter(({ key }) => key[2] === manifest)
      .map(({ key, value }) => ({ ...statementRecord.parse(value), sequence: Number(key[3]) }));
  }

  tags(): string[] {
    const pointers = (["pushed", "promoted"] as const).flatMap((which) =>
      this.#entries(`tag-${which}`).map(({ key, value }) => ({ which, tag: String(key[2]), named: tagRecord.parse(value).digest })),
    );
    const uses = new Map<string, { pushed: boolean; promoted: boolean }>();
    const listed: string[] = [];
    for (const { which, tag, named } of pointers) {
      const target = this.#names.get(named);
      const state = target && this.#known.get(target)?.record.state;
      const use = `${state === undefined || state === "deleted" ? "nothing" : target} ${tag}`;
      uses.set(use, { ...(uses.get(use) ?? { pushed: false, promoted: false }), [which]: true });
      if (which === "promoted" && state === "trusted") listed.push(`${tag} ${named}`);
    }
    return [
      ...differences(
        "tag-of",
        [...uses].map(([use, which]) => `${use} ${JSON.stringify(which)}`),
        this.#entries("tag-of").map(({ key, value }) => `${String(key[2])} ${String(key[3])} ${JSON.stringify(value)}`),
      ),
      ...differences(
        "tag-listed",
        listed,
        this.#entries("tag-listed").map(({ key, value }) => `${String(key[2])} ${tagRecord.parse(value).digest}`),
      ),
    ];
  }

  count(): string[] {
    const trusted = [...this.#known.values()].filter(({ record }) => record.state === "trusted").length;
    const [entry] = this.#entries("repository");
    const counted = entry === undefined ? 0 : repositoryRecord.parse(entry.value).trusted;
    const listed = this.#entries("repository-trusted").length;
    return [
      ...(counted === trusted ? [] : [`repository counts ${counted} trusted artifacts, not ${trusted}`]),
      ...(listed === Number(trusted > 0) ? [] : [`repository-trusted is ${listed === 0 ? "missing" : "left over"}`]),
    ];
  }

  /** Every chain goes on without a gap, names the payload before, and ends as the record says. */
  chains(): string[] {
    return [...this.#known.values()].filter(({ record }) => !record.statement).flatMap(({ record }) => this.#chainFaults(record));
  }

  #chainFaults(record: ManifestRecord): string[] {
    const links = this.#chain(record.digest);
    const last = links.at(-1);
    const ends = last?.sequence === record.sequence && last.digest === record.previous && last.state === record.state;
    const faults = links.flatMap((link, at) => [
      ...linkFaults(link, links[at - 1]),
      ...this.#manifestFaults(link, at === links.length - 1),
    ]);
    return [...faults, ...(ends ? [] : ["it does not end as the record says"])].map((fault) => `chain of ${record.digest}: ${fault}`);
  }

  #manifestFaults(link: Link, isLast: boolean): string[] {
    if (link.manifest === null) return link.state === "acquired" && isLast ? [] : [`link ${link.sequence} has no manifest`];
    if (link.bundle === undefined) return [`link ${link.sequence} is not signed`];
    const wanted = (link.state === "trusted" || link.state === "revoked") && link.unsigned === undefined;
    const stored = [link.manifest, link.summary?.manifest, link.unsigned].filter((each) => each !== undefined);
    return [
      ...(wanted && link.summary === undefined ? [`link ${link.sequence} has no summary`] : []),
      ...stored.flatMap((manifest) => this.#storageFaults(link.sequence, manifest)),
    ];
  }

  #storageFaults(sequence: number, manifest: Digest): string[] {
    const known = this.#known.get(manifest);
    if (known?.manifest === undefined || !known.record.statement) return [`the statement ${sequence} is not stored as one`];
    const linked = new Set(this.#entries("link").map(({ key }) => String(key[2])));
    const missing = known.manifest.blobReferences.filter(({ digest }) => !linked.has(digest));
    return missing.map(({ digest }) => `the statement ${sequence} lacks its blob ${digest}`);
  }

  /** The folders of `trusted/`: the layers of every trusted root and of its children, as they are, and of nothing that is only covered. */
  async tree(trusted: string): Promise<string[]> {
    const parts = new Set(this.#roots().flatMap(({ record }) => [...this.#reachOf(record).parts]));
    const expected = [...this.#known.values()].flatMap(({ record: { digest }, manifest }) => {
      if (manifest === undefined || !parts.has(`manifest ${digest}`)) return [];
      return runtimeFiles(manifest).files.map(({ path, blob }) => `${digest.replace(":", "-")}/${path} ${blob}`);
    });
    return differences("trusted/", expected, await filesIn(join(trusted, this.#repository)));
  }

  #entries(family: string): readonly Entry[] {
    return this.#families.get(family) ?? [];
  }

  #keysOf(family: string): string[] {
    return this.#entries(family).map(({ key }) => text(key));
  }
}

const FAMILIES = [
  "manifest",
  "manifest-content",
  "statement",
  "approval",
  "approval-statement",
  "covers",
  "edge",
  "dead-edge",
  "reach",
  "denied",
  "root-reach",
  "link",
  "tag-pushed",
  "tag-promoted",
  "tag-listed",
  "tag-of",
  "artifact-recalled",
] as const;

function parsed(content: unknown, { mediaType }: ManifestRecord): Manifest | undefined {
  return content instanceof Uint8Array ? parseManifest(content, mediaType) : undefined;
}

function contentsOf(manifest: Manifest | undefined): Content[] {
  return CONTENT_KINDS.flatMap((kind) =>
    [...new Set((manifest?.[`${kind}References`] ?? []).map(({ digest }) => digest))].map((digest) => ({ kind, digest })),
  );
}

/** What is wrong with a link by itself, and with its place after the one before. */
function linkFaults(link: Link, before: Link | undefined): string[] {
  const { predicate } = JSON.parse(link.payload) as { predicate: { state: string } };
  return [...placeFaults(link, before), ...(predicate.state === link.state ? [] : [`link ${link.sequence} is not its payload`])];
}

interface Placed {
  readonly sequence: number;
  readonly payload: string;
  readonly digest: Digest;
}

function placeFaults(link: Placed, before: Placed | undefined): string[] {
  const { predicate } = JSON.parse(link.payload) as { predicate: { seq: number; prev: { sha256: string } | null } };
  const sequence = before === undefined ? 1 : before.sequence + 1;
  return [
    ...(link.sequence === sequence && predicate.seq === sequence ? [] : [`link ${sequence} has the sequence ${link.sequence}`]),
    ...(predicate.prev?.sha256 === before?.digest.slice("sha256:".length) ? [] : [`link ${sequence} does not name the one before`]),
    ...(digestOf(link.payload) === link.digest ? [] : [`link ${sequence} is not its payload`]),
  ];
}

/** What each row of reach is about, and which root it is of. */
function waysOf(entries: readonly Entry[]): ReadonlySet<string> {
  return new Set(entries.map(({ key }) => `${String(key[2])} ${String(key[3])} by ${String(key[4])}`));
}

function text(key: Key): string {
  return JSON.stringify(key);
}

function differences(family: string, expected: Iterable<string>, found: Iterable<string>): string[] {
  const [wanted, there] = [new Set(expected), new Set(found)];
  return [
    ...[...wanted].filter((row) => !there.has(row)).map((row) => `${family} is missing ${row}`),
    ...[...there].filter((row) => !wanted.has(row)).map((row) => `${family} has ${row} left over`),
  ];
}

/** Every file below a folder with the digest of its bytes; folders that may be runtime folders of the repository only. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const own = files.filter((file) => /^sha256-[0-9a-f]{64}\//.test(file.slice(folder.length + 1)));
  return Promise.all(own.map(async (file) => `${file.slice(folder.length + 1)} ${digestOf(await readFile(file))}`));
}
