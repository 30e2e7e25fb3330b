import { must } from "../../must.ts";
import type { Report } from "../../client-report.ts";
import { type RunningRegistry, startRegistry } from "../../registry-process.ts";
import { WEIGHTS_SIZE, digestOf, newWeights } from "./content.ts";
import { REPLAYS, type Replay } from "./replays.ts";
import { Refused, Wire } from "./wire.ts";

/** Replays the requests of every client that cannot be had, as publisher and as runtime, and reports each step as a case. */
export async function runReplays(report: Report): Promise<void> {
  const registry = await startRegistry();
  try {
    for (const [at, replay] of REPLAYS.entries()) await runReplay(registry, replay, `models/replay-${at}`, report);
    await askWithoutCredential(registry, report);
  } finally {
    await registry.dispose();
  }
}

async function runReplay(registry: RunningRegistry, replay: Replay, repository: string, report: Report): Promise<void> {
  const row = (what: string, expected: string, happen: () => Promise<string>): Promise<void> =>
    report.row(replay.client, what, expected, happen);
  const weights = newWeights();
  const runtime = (): Wire => new Wire(registry, "runtime", repository, replay.tokenCall);
  let digest = "";
  const refusals = async (): Promise<string> => {
    const weightsDigest = digestOf(weights);
    const tried = [
      () => replay.pull(runtime(), digest),
      () => replay.pull(runtime(), "v1"),
      () => readBlob(runtime(), weightsDigest),
      () => readBlob(runtime(), weightsDigest, { range: "bytes=0-7" }),
      () => readBlob(runtime(), weightsDigest, { range: `bytes=${WEIGHTS_SIZE}-` }),
    ];
    const statuses = new Set<string>();
    // A HEAD is refused without a code.
    for (const pull of tried) statuses.add((await refusalOf(pull)).slice(0, 3));
    return `refused: ${[...statuses].join("; ")}`;
  };
  await row("Push", "works", async () => {
    digest = await replay.push(new Wire(registry, "publisher", repository, replay.tokenCall), weights);
    return "works";
  });
  await row("Refused while nobody has promoted it", "refused: 404", async () => {
    await change(registry, `${repository}@${digest}`, "quarantine");
    return refusals();
  });
  await row("Promote, and pull by digest and by tag", "works", async () => {
    await change(registry, `${repository}@${digest}`, "promote");
    for (const reference of [digest, "v1"]) {
      const [pulled] = await replay.pull(runtime(), reference);
      must(pulled?.length === WEIGHTS_SIZE && Buffer.from(pulled).equals(weights), "the weights came back as others");
    }
    return "works";
  });
  await row("Refused after a revocation", "refused: 403", async () => {
    await change(registry, `${repository}@${digest}`, "revoke");
    return refusals();
  });
}

async function readBlob(wire: Wire, digest: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  await (await wire.send(`blobs/${digest}`, [200, 206], { headers })).body?.cancel();
}

/** The words by which a pull was refused. */
async function refusalOf(pull: () => Promise<unknown>): Promise<string> {
  try {
    await pull();
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

/** ollama signs in to no registry but its own, and asks for parts of a blob without any credential. */
async function askWithoutCredential(registry: RunningRegistry, report: Report): Promise<void> {
  const ollama = REPLAYS.find(({ client }) => client.name.startsWith("ollama"));
  must(ollama !== undefined, "there is no replay of ollama");
  await report.row(ollama.client, "The same without a credential, as it comes", "refused: 401", async () => {
    const answer = await fetch(`${registry.url}/v2/models/any/manifests/v1`);
    await answer.body?.cancel();
    return `refused: ${answer.status}`;
  });
}

/** As the operator, has an artifact change its state. */
async function change(registry: RunningRegistry, reference: string, transition: string): Promise<void> {
  const answer = await fetch(`${registry.url}/v1/artifacts/${reference}/${transition}`, {
    method: "POST",
    headers: { authorization: `Bearer ${await registry.key("operator")}`, "content-type": "application/json" },
    body: JSON.stringify({ reason: "for the replay" }),
  });
  const words = await answer.text();
  must(answer.ok, `${transition} was refused: ${answer.status} ${words}`);
}
