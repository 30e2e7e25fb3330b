import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { type Artifact, CI, PolicyRegistry, SCAN, SIGNED_BY_CI, policyOf } from "../support/policy-registry.ts";
import { type PrivateSigstore, keySigner, startPrivateSigstore, statementOf } from "../support/private-sigstore.ts";
import { basicOf, runProgram, urlOf } from "../support/program.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const REPOSITORY = "models/same";
const SCANS = { scan_results: { yara: "pass" }, scanner_versions: { yara: "4.5" }, policy_version: "1", source_revision: "main" };
const OTHER_CI = "https://git.corp.example/ml/other/.ci/release.yml@refs/heads/main";

let sigstore: PrivateSigstore;
let folder: string;
let evidence: readonly string[];
const security = keySigner();
beforeAll(async () => {
  sigstore = await startPrivateSigstore();
  folder = await mkdtemp(join(tmpdir(), "amr-same-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A registry with the policy and the artifact, to which the evidence is attached in some order. */
async function registryWith(
  directory: string,
  order: (bundles: readonly string[]) => readonly string[],
): Promise<[PolicyRegistry, Artifact]> {
  const world = await PolicyRegistry.start({ directory }, sigstore);
  await world.putPolicy(
    policyOf("same", "models/*", {
      trustRoots: { corp: { name: "corp-root", digest: world.root } },
      authorities: [SIGNED_BY_CI, { type: "key", name: "security", keys: [{ id: "sec", pem: security.pem }] }],
      require: [
        { name: "signed", anyOf: ["release-ci", "security"], threshold: 3, evidence: { kind: "signature" } },
        {
          name: "scanned",
          anyOf: ["security"],
          evidence: { kind: "attestation", predicateType: SCAN, where: [{ path: "/scanned", op: "maxAgeSeconds", value: 86_400 }] },
        },
        { name: "scans", evidence: { kind: "scan-results", scanners: ["yara"] } },
        { name: "people", evidence: { kind: "approvals", minimum: 2 } },
      ],
    }),
  );
  const artifact = await world.push(REPOSITORY);
  evidence ??= await evidenceFor(artifact);
  for (const bundle of order(evidence)) await world.attach(artifact, bundle);
  return [world, artifact];
}

function scanned(hours: number): object {
  return { scanned: new Date(Date.now() - hours * 3_600_000).toISOString() };
}

async function evidenceFor({ digest }: Artifact): Promise<readonly string[]> {
  return [
    await sigstore.keyless(CI, statementOf(digest)),
    await sigstore.keyless(OTHER_CI, statementOf(digest)),
    await sigstore.keyless("https://git.corp.example/elsewhere", statementOf(digest)),
    await sigstore.keyless(CI, statementOf(digestOf("another artifact"))),
    security.bundle(statementOf(digest)),
    security.bundle(statementOf(digest, SCAN, scanned(1))),
    security.bundle(statementOf(digest, SCAN, scanned(48))),
    keySigner().bundle(statementOf(digest)),
    "not a bundle",
  ];
}

const ASKED = JSON.stringify(SCANS);
const decisionSchema = z.looseObject({ digest: z.string(), checks: z.array(z.looseObject({ inputs: z.array(z.string()) })) });

async function decided(world: PolicyRegistry): Promise<string> {
  const { status, text } = await world.send("operator", `POST /v1/artifacts/${REPOSITORY}:v1/evaluate`, ASKED);
  expect(status).toBe(200);
  return text;
}

test("the same inputs give the same bytes of a decision, in whatever order they came, and in every process", async () => {
  const [first, artifact] = await registryWith(join(folder, "first"), (bundles) => bundles);
  const [second] = await registryWith(join(folder, "second"), (bundles) => bundles.toReversed());
  const text = await decided(first);
  const { digest, ...rest } = decisionSchema.parse(JSON.parse(text));
  expect(digestOf(canonicalJson(rest))).toBe(digest);
  expect(JSON.parse(text)).toMatchObject({
    allowed: false,
    policies: [
      {
        digest: expect.stringMatching(/^sha256:/) as string,
        trust_roots: [first.root],
        requirements: [
          { met: true, message: expect.stringMatching(/^3 of 3 signers/) as string },
          { met: true },
          { met: true },
          { met: false, message: expect.stringMatching(/^0 of 2 approvals/) as string },
        ],
      },
    ],
  });
  expect(await decided(second)).toBe(text);
  await second.registry.stop();

  const refused = await first.send("operator", `POST /v1/artifacts/${REPOSITORY}:v1/promote`, ASKED);
  expect(refused.status).toBe(422);
  expect(z.looseObject({ decision: z.unknown() }).parse(refused.json).decision).toEqual(JSON.parse(text));
  await first.registry.stop();

  const env = { BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: join(folder, "first"), WORKERS: "2" };
  const program = runProgram(env);
  try {
    const url = await urlOf(program);
    const headers = { ...(await basicOf(join(folder, "first"), "operator")), connection: "close" };
    const ask = async (method: "POST" | "PUT", path: string, body: string): Promise<string> => {
      const answer = await fetch(`${url}${path}`, { method, headers: { ...headers, "content-type": "application/json" }, body });
      expect(answer.status).toBe(200);
      return answer.text();
    };
    const path = `/v1/artifacts/${REPOSITORY}@${artifact.digest}/evaluate`;
    const asked = await Promise.all(Array.from({ length: 8 }, () => ask("POST", path, ASKED)));
    expect(new Set(asked)).toEqual(new Set([text]));

    // What changes is in force at the next decision, whichever worker takes it.
    for (const minimum of [3, 4, 5]) {
      const require = [{ name: "people", evidence: { kind: "approvals", minimum } }];
      await ask("PUT", "/v1/policies/same", JSON.stringify(policyOf("same", "models/*", { require })));
      const after = await Promise.all(Array.from({ length: 8 }, () => ask("POST", path, ASKED)));
      expect(new Set(after).size).toBe(1);
      expect(after[0]).toContain(`0 of ${minimum} approvals`);
    }
  } finally {
    await program.stop();
  }
});

test("a decision names every input by digest: policy, trust root, evidence and what was said of scans", async () => {
  const [world] = await registryWith(join(folder, "third"), (bundles) => bundles);
  const decision = z
    .looseObject({
      checks: z.array(z.looseObject({ id: z.string(), inputs: z.array(z.string()) })),
      policies: z.array(
        z.looseObject({
          digest: z.string(),
          requirements: z.array(
            z.looseObject({ name: z.string(), accepted: z.array(z.looseObject({ manifest: z.string(), blob: z.string() })) }),
          ),
        }),
      ),
    })
    .parse(JSON.parse(await decided(world)));
  const [policy] = decision.policies;
  const inputs = (name: string): readonly string[] => decision.checks.find(({ id }) => id === `policy/same/${name}`)?.inputs ?? [];
  const signed = policy?.requirements[0]?.accepted.map(({ manifest }) => manifest) ?? [];
  expect(signed).toHaveLength(3);
  expect(inputs("signed")).toEqual([policy?.digest, ...signed]);
  expect(policy?.requirements[0]?.accepted.map(({ blob }) => blob)).toEqual(
    expect.arrayContaining([0, 1, 4].map((at) => digestOf(evidence[at] ?? ""))),
  );
  expect(inputs("scans")).toEqual([policy?.digest, digestOf(canonicalJson(SCANS))]);
  await world.registry.stop();
});
