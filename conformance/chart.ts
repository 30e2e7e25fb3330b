import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { loadConfig } from "../src/config.ts";
import { HELM, installGoTool } from "./go-tool.ts";
import { mustRun, run } from "./run-program.ts";

/*
 * Lints the chart and renders it in the ways that it can be used in. What comes out must be safe, and must start the registry: the
 * variables that it sets are read as the server reads them.
 */

const CHART = "deploy/chart";

const variable = z.strictObject({ name: z.string(), value: z.string() });
const probe = z.looseObject({ httpGet: z.strictObject({ path: z.string(), port: z.string(), scheme: z.enum(["HTTP", "HTTPS"]) }) });
const container = z.looseObject({
  image: z.string(),
  env: z.array(variable),
  securityContext: z.looseObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]) }),
  }),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
});
const statefulSet = z.looseObject({
  kind: z.literal("StatefulSet"),
  spec: z.looseObject({
    replicas: z.literal(1),
    template: z.looseObject({
      spec: z.looseObject({
        automountServiceAccountToken: z.literal(false),
        enableServiceLinks: z.literal(false),
        securityContext: z.looseObject({ runAsNonRoot: z.literal(true), runAsUser: z.literal(65_532), seccompProfile: z.looseObject({}) }),
        containers: z.tuple([container]),
        volumes: z.array(z.looseObject({ name: z.string() })).nullish(),
      }),
    }),
    volumeClaimTemplates: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })).optional(),
  }),
});
const anyDocument = z.looseObject({ kind: z.string() });

type Document = z.infer<typeof anyDocument>;

interface Case {
  readonly title: string;
  readonly set: readonly string[];
  readonly kinds: readonly string[];
  /** What else must be true of the pod. */
  readonly holds?: (pod: z.infer<typeof container>) => boolean;
}

const CASES: readonly Case[] = [
  {
    title: "as it comes, behind a proxy",
    set: [],
    kinds: ["NetworkPolicy", "Service", "StatefulSet"],
    holds: ({ image, livenessProbe }) => image === "registry.example/ai-model-registry:0.1.0" && livenessProbe.httpGet.scheme === "HTTP",
  },
  {
    title: "with TLS of its own from a Secret",
    set: ["tls.secretName=registry-tls"],
    kinds: ["NetworkPolicy", "Service", "StatefulSet"],
    holds: ({ readinessProbe, volumeMounts }) =>
      readinessProbe.httpGet.scheme === "HTTPS" && volumeMounts.some(({ mountPath }) => mountPath === "/etc/registry-tls"),
  },
  {
    title: "with an ingress, a claim that is there, an image by digest and more settings",
    set: [
      "ingress.enabled=true",
      "ingress.tlsSecretName=front",
      "persistence.existingClaim=models",
      `image.digest=sha256:${"0".repeat(64)}`,
      "settings.REGISTRY_DUTIES=strict",
    ],
    kinds: ["Ingress", "NetworkPolicy", "Service", "StatefulSet"],
    holds: ({ image, env }) =>
      image.includes("@sha256:") && env.some(({ name, value }) => name === "REGISTRY_DUTIES" && value === "strict"),
  },
  {
    title: "with metrics",
    set: ["metrics.enabled=true", "metrics.tokenSecretName=registry-metrics", "metrics.serviceMonitor.enabled=true"],
    kinds: ["NetworkPolicy", "Service", "ServiceMonitor", "StatefulSet"],
    holds: ({ env }) => env.some(({ name }) => name === "REGISTRY_METRICS_TOKEN_PATH"),
  },
  { title: "without a network policy", set: ["networkPolicy.enabled=false"], kinds: ["Service", "StatefulSet"] },
];

/** What the chart itself must refuse. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["logins over plain http", "publicUrl=http://registry.example"],
  ["two pods over one store", "replicas=2"],
  ["metrics for whoever asks", "metrics.enabled=true"],
  ["an image by half a digest", "image.digest=sha256:00"],
  ["a setting that is no variable", "settings.bind-addr=x"],
];

function render(helm: string, set: readonly string[]): readonly string[] {
  return [helm, "template", "registry", CHART, ...set.flatMap((value) => ["--set", value])];
}

/** The server would start with what the pod gives it, but for the files that are not here. */
function checkSettings(env: readonly z.infer<typeof variable>[]): void {
  const image = { REGISTRY_DIR: "/registry", BIND_ADDR: "0.0.0.0:8470" };
  loadConfig({ ...image, ...Object.fromEntries(env.map(({ name, value }) => [name, value])) });
}

function checkMounts({ spec }: z.infer<typeof statefulSet>): void {
  const claimed = (spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name);
  const volumes = new Set([...(spec.template.spec.volumes ?? []).map(({ name }) => name), ...claimed]);
  const [pod] = spec.template.spec.containers;
  for (const { name } of pod.volumeMounts) if (!volumes.has(name)) throw new Error(`nothing is mounted as ${name}`);
  if (!pod.volumeMounts.some(({ mountPath }) => mountPath === "/registry")) throw new Error("nothing is mounted at /registry");
}

async function checkCase(helm: string, { title, set, kinds, holds }: Case): Promise<void> {
  const [program = "", ...args] = render(helm, set);
  const text = await mustRun(program, args);
  const documents: readonly Document[] = parseAllDocuments(text).map((document) => anyDocument.parse(document.toJS()));
  const found = documents.map(({ kind }) => kind).toSorted();
  if (found.join() !== kinds.join()) throw new Error(`${title}: it renders ${found.join(", ")}`);
  const pods = statefulSet.parse(documents.find(({ kind }) => kind === "StatefulSet"));
  const [pod] = pods.spec.template.spec.containers;
  checkSettings(pod.env);
  checkMounts(pods);
  if (holds !== undefined && !holds(pod)) throw new Error(`${title}: the pod is not as it should be\n${text}`);
  process.stdout.write(`ok     ${title}\n`);
}

try {
  const helm = await installGoTool(HELM);
  await mustRun(helm, ["lint", "--strict", CHART]);
  process.stdout.write("ok     helm lint --strict\n");
  for (const one of CASES) await checkCase(helm, one);
  for (const [title, set] of REFUSED) {
    const [program = "", ...args] = render(helm, [set]);
    const { code } = await run(program, args);
    if (code === 0) throw new Error(`${title}: it renders`);
    process.stdout.write(`ok     refuses ${title}\n`);
  }
} catch (error) {
  process.stdout.write(`FAILED ${String(error)}\n`);
  process.exitCode = 1;
}
