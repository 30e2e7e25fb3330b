import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ORAS, installGoTool } from "./go-tool.ts";
import type { RunningRegistry } from "./registry-process.ts";
import { must, mustBeRefused, mustSucceed } from "./must.ts";
import { Person } from "./person.ts";
import type { Ran } from "./run-program.ts";

const SERVER_WORDS = 4000;
const REPOSITORY = "models/main-job";
const REASON = "weights withdrawn by their author";
const STATE = "dev.ai-model-registry.lifecycle.state";
const MODEL = "application/vnd.cncf.model.manifest.v1+json";
const WEIGHTS = "application/vnd.cncf.model.weight.v1.raw";

const pushed = z.object({ digest: z.string() });
const manifest = z.object({ layers: z.array(z.object({ digest: z.string(), mediaType: z.string() })) });
const referrer = z.object({ digest: z.string(), annotations: z.record(z.string(), z.string()).optional() });
const discovered = z.object({ referrers: z.array(referrer) });
const index = z.object({ manifests: z.array(referrer) });

function statesOf(referrers: readonly z.infer<typeof referrer>[]): readonly string[] {
  return referrers.flatMap(({ annotations }) => annotations?.[STATE] ?? []);
}

/** A registry that the main job is done against; its data directory lies on this machine, and is read by whoever runs the job. */
export type Subject = Pick<RunningRegistry, "url" | "host" | "dataDirectory" | "output" | "key">;

/** What a step found out and a later one needs. */
interface Story {
  registry: Subject;
  /** Ends the server in order, and starts it again at the same address over the same data. */
  readonly restart: () => Promise<Subject>;
  readonly folder: string;
  readonly publisher: Person;
  readonly runtime: Person;
  readonly operator: Person;
  readonly files: Readonly<Record<string, Buffer>>;
  first: { digest: string; weights: string };
}

const named = (story: Story, reference: string): string =>
  `${story.registry.host}/${REPOSITORY}${reference.includes(":") ? "@" : ":"}${reference}`;

async function pushModel(story: Story, tag: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  const folder = await mkdtemp(join(story.folder, "push-"));
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  const layers = ["weights.gguf:" + WEIGHTS, "card.md:text/markdown"];
  const args = ["push", named(story, tag), "--artifact-type", MODEL, "--format", "json", ...layers];
  return pushed.parse(JSON.parse(mustSucceed(await story.publisher.oras(args, { cwd: folder })))).digest;
}

async function pullAndCompare(story: Story, reference: string): Promise<void> {
  const folder = await mkdtemp(join(story.folder, "pull-"));
  mustSucceed(await story.runtime.oras(["pull", named(story, reference), "--output", folder]));
  for (const [name, bytes] of Object.entries(story.files)) {
    must(bytes.equals(await readFile(join(folder, name))), `${name} came back with other bytes`);
  }
}

function tryPull(story: Story, reference: string): Promise<Ran> {
  return story.runtime.oras(["pull", named(story, reference), "--output", join(story.folder, "refused")]);
}

function tryBlob(story: Story): Promise<Ran> {
  const output = join(story.folder, "refused", "blob");
  return story.runtime.oras(["blob", "fetch", named(story, story.first.weights), "--output", output]);
}

/** Where a runtime that shares the machine finds the files of the first push, while they are trusted. */
function trustedFolder({ registry, first }: Story): string {
  return join(registry.dataDirectory, "trusted", REPOSITORY, first.digest.replace(":", "-"));
}

async function discoveredStates(person: Person, story: Story): Promise<readonly string[]> {
  const out = mustSucceed(await person.oras(["discover", named(story, story.first.digest), "--format", "json"]));
  return statesOf(discovered.parse(JSON.parse(out)).referrers);
}

const STEPS: readonly (readonly [string, (story: Story) => Promise<void>])[] = [
  [
    "publisher, runtime and operator log in from their credential files",
    async ({ publisher, runtime, operator }) => {
      for (const person of [publisher, runtime, operator]) await person.login();
    },
  ],
  [
    "publisher pushes weights and a card with oras",
    async (story) => {
      const digest = await pushModel(story, "v1", story.files);
      const out = mustSucceed(await story.publisher.oras(["manifest", "fetch", named(story, digest)]));
      const weights = manifest.parse(JSON.parse(out)).layers.find(({ mediaType }) => mediaType === WEIGHTS)?.digest;
      must(weights !== undefined, `the pushed manifest has no layer of type ${WEIGHTS}`);
      story.first = { digest, weights };
    },
  ],
  [
    "operator cannot push: it holds the trust and makes nothing",
    async ({ operator, registry, folder }) => {
      await writeFile(join(folder, "mine.txt"), "mine\n");
      mustBeRefused(await operator.oras(["push", `${registry.host}/models/mine:v1`, "mine.txt:text/plain"]), /denied|unauthorized/i);
    },
  ],
  [
    "runtime finds nothing by tag, by digest or by the digest of the weights",
    async (story) => {
      mustBeRefused(await tryPull(story, "v1"), /not found/i);
      mustBeRefused(await tryPull(story, story.first.digest), /not found/i);
      mustBeRefused(await tryBlob(story), /not found/i);
    },
  ],
  [
    "operator promotes by digest with securectl",
    async (story) => {
      mustSucceed(await story.operator.securectl(["promote", `${REPOSITORY}@${story.first.digest}`, "--reason", "scanned and reviewed"]));
    },
  ],
  ["runtime pulls by digest and gets the bytes that were pushed", (story) => pullAndCompare(story, story.first.digest)],
  ["runtime pulls by tag, which the promotion moved", (story) => pullAndCompare(story, "v1")],
  [
    "a runtime on the same machine finds the files below trusted/",
    async (story) => {
      for (const [name, bytes] of Object.entries(story.files)) {
        must(bytes.equals(await readFile(join(trustedFolder(story), name))), `trusted/ holds other bytes as ${name}`);
      }
    },
  ],
  [
    "oras discover shows the statements that made it trusted",
    async (story) => {
      const states = await discoveredStates(story.runtime, story);
      must(states.includes("trusted"), `discover shows the states ${states.join(", ") || "none"}`);
    },
  ],
  [
    "publisher pushes another model to the same tag, and no reader moves",
    async (story) => {
      const second = await pushModel(story, "v1", { ...story.files, "weights.gguf": randomBytes(64 * 1024) });
      must(second !== story.first.digest, "the second push made the same manifest");
      await pullAndCompare(story, "v1");
      mustBeRefused(await tryPull(story, second), /not found/i);
    },
  ],
  [
    "operator revokes with a reason",
    async (story) => {
      const ref = `${REPOSITORY}@${story.first.digest}`;
      mustSucceed(await story.operator.securectl(["revoke", ref, "--reason", REASON, "--yes"]));
    },
  ],
  [
    "runtime is refused with DENIED and the reason, by digest, by tag and by the digest of the weights",
    async (story) => {
      const words = new RegExp(`denied[^]*${REASON}`, "i");
      const answer = await story.runtime.fetch(`/v2/${REPOSITORY}/manifests/${story.first.digest}`);
      const body = await answer.text();
      must(answer.status === 403 && words.test(body), `GET of the manifest answered ${answer.status} ${body}`);
      for (const refused of [await tryPull(story, story.first.digest), await tryPull(story, "v1"), await tryBlob(story)]) {
        mustBeRefused(refused, /denied|403|forbidden/i);
      }
    },
  ],
  [
    "the files below trusted/ are gone",
    async (story) => must(!existsSync(join(trustedFolder(story), "weights.gguf")), "the weights are still there"),
  ],
  [
    "a restart changes nothing: the server ends by itself, and the runtime is refused as before",
    async (story) => {
      story.registry = await story.restart();
      mustBeRefused(await tryPull(story, story.first.digest), /denied|403|forbidden/i);
    },
  ],
  [
    "the statements stay: oras discover as operator, the referrers as runtime",
    async (story) => {
      const shown = await discoveredStates(story.operator, story);
      must(shown.includes("revoked") && shown.includes("trusted"), `discover shows the states ${shown.join(", ") || "none"}`);
      const answer = await story.runtime.fetch(`/v2/${REPOSITORY}/referrers/${story.first.digest}`);
      must(answer.status === 200, `referrers answered ${answer.status}`);
      const seen = statesOf(index.parse(await answer.json()).manifests);
      must(seen.includes("revoked"), `the runtime sees the states ${seen.join(", ") || "none"}`);
    },
  ],
];

/** Tells the steps in order and stops at the first that fails; answers whether none did. */
async function tellStory(story: Story): Promise<boolean> {
  for (const [title, step] of STEPS) {
    try {
      await step(story);
    } catch (error) {
      const words = story.registry.output().slice(-SERVER_WORDS);
      process.stdout.write(`FAILED ${title}\n${String(error)}\n--- the server's last words ---\n${words}\n`);
      return false;
    }
    process.stdout.write(`ok     ${title}\n`);
  }
  return true;
}

/** Does the main job with the real oras, printing a line a step; answers whether all of it went as it must. */
export async function doMainJob(registry: Subject, restart: () => Promise<Subject>): Promise<boolean> {
  const oras = await installGoTool(ORAS);
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-main-job-"));
  try {
    const person = (name: string): Person => new Person(registry, oras, name, folder);
    const files = { "weights.gguf": randomBytes(3 * 1024 * 1024), "card.md": Buffer.from("# A model\n\nFor the main job.\n") };
    const people = { publisher: person("publisher"), runtime: person("runtime"), operator: person("operator") };
    await mkdir(dirname(join(folder, "refused", "blob")), { recursive: true });
    return await tellStory({ registry, restart, folder, files, first: { digest: "", weights: "" }, ...people });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
