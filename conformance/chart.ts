import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { loadConfig } from "../src/config.ts";
import { HELM, installGoTool } from "./go-tool.ts";
import { must, mustBeRefused } from "./must.ts";
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
  securityContext: z.looseObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]) }),
  }),
  resources: z.looseObject({ limits: z.looseObject({ memory: z.string() }) }),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
});
const server = container.extend({ env: z.array(variable), startupProbe: probe, livenessProbe: probe, readinessProbe: probe });
const volume = z.looseObject({ name: z.string(), persistentVolumeClaim: z.strictObject({ claimName: z.string() }).optional() });
const podOf = <Inner extends z.ZodType>(inner: Inner) =>
  z.looseObject({
    automountServiceAccountToken: z.literal(false),
    enableServiceLinks: z.literal(false),
    securityContext: z.looseObject({ runAsNonRoot: z.literal(true), runAsUser: z.literal(65_532), seccompProfile: z.looseObject({}) }),
    containers: z.tuple([inner]),
    volumes: z.array(volume),
  });
type Confined = z.infer<ReturnType<typeof podOf<typeof container>>>;
const labelled = z.looseObject({ labels: z.record(z.string(), z.string()) });
const statefulSet = z.looseObject({
  kind: z.literal("StatefulSet"),
  spec: z.looseObject({ replicas: z.number(), template: z.looseObject({ metadata: labelled, spec: podOf(server) }) }),
});
const restorePod = z.looseObject({
  kind: z.literal("Pod"),
  metadata: labelled,
  spec: podOf(container).extend({ restartPolicy: z.literal("Never") }),
});
/** What neither an upgrade nor the end of the release takes away. */
const claim = z.looseObject({
  kind: z.literal("PersistentVolumeClaim"),
  metadata: z.looseObject({ name: z.string(), annotations: z.looseObject({ "helm.sh/resource-policy": z.literal("keep") }) }),
  spec: z.looseObject({ accessModes: z.tuple([z.literal("ReadWriteOnce")]) }),
});
const anyDocument = z.looseObject({ kind: z.string() });

type Document = z.infer<typeof anyDocument>;
type Server = z.infer<typeof server>;

/** What is rendered in any case. */
const ALWAYS = ["NetworkPolicy", "PersistentVolumeClaim", "Service", "StatefulSet"] as const;

interface Case {
  readonly title: string;
  readonly set: readonly string[];
  readonly kinds: readonly string[];
  /** The claims that the pods mount, each by where. */
  readonly claims?: Readonly<Record<string, string>>;
  /** What else must be true of the pod. */
  readonly holds?: (pod: Server, documents: readonly Document[]) => boolean;
}

const DIGEST = `sha256:${"0".repeat(64)}`;
const CASES: readonly Case[] = [
  {
    title: "as it comes, behind a proxy",
    set: [],
    kinds: ALWAYS,
    holds: ({ image, livenessProbe }) => image === "registry.example/ai-model-registry:0.1.0" && livenessProbe.httpGet.scheme === "HTTP",
  },
  {
    title: "with TLS of its own from a Secret",
    set: ["tls.secretName=registry-tls"],
    kinds: ALWAYS,
    holds: ({ readinessProbe, volumeMounts }) =>
      readinessProbe.httpGet.scheme === "HTTPS" && volumeMounts.some(({ mountPath }) => mountPath === "/etc/registry-tls"),
  },
  {
    title: "with an ingress, a claim that is there, an image by digest and more settings",
    set: [
      "publicUrl=https://models.example:8443",
      "ingress.enabled=true",
      "ingress.tlsSecretName=front",
      "persistence.existingClaim=models",
      `image.digest=${DIGEST}`,
      "settings.REGISTRY_DUTIES=strict",
    ],
    kinds: ["Ingress", "NetworkPolicy", "Service", "StatefulSet"],
    claims: { "/registry": "models" },
    holds: ({ image, env }, documents) =>
      image.endsWith(`@${DIGEST}`) &&
      env.some(({ name, value }) => name === "REGISTRY_DUTIES" && value === "strict") &&
      hostsOf(documents).join() === "models.example",
  },
  {
    title: "with metrics",
    set: ["metrics.enabled=true", "metrics.tokenSecretName=registry-metrics", "metrics.serviceMonitor.enabled=true"],
    kinds: ["NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceMonitor", "StatefulSet"],
    holds: ({ env }) => env.some(({ name }) => name === "REGISTRY_METRICS_TOKEN_PATH"),
  },
  {
    title: "without a network policy",
    set: ["networkPolicy.enabled=false"],
    kinds: ["PersistentVolumeClaim", "Service", "StatefulSet"],
  },
  {
    title: "with a volume for backups",
    set: ["backup.enabled=true"],
    kinds: ["NetworkPolicy", "PersistentVolumeClaim", "PersistentVolumeClaim", "Service", "StatefulSet"],
    claims: { "/registry": "registry-data", "/backup": "registry-backup" },
  },
  {
    title: "with a claim for backups that is there",
    set: ["backup.enabled=true", "backup.existingClaim=kept"],
    kinds: ALWAYS,
    claims: { "/registry": "registry-data", "/backup": "kept" },
  },
];

const RESTORING: Case = {
  title: "for a restore, without a registry",
  set: ["backup.enabled=true", "restore.enabled=true", "persistence.name=restored", "imagePullSecrets[0].name=pull"],
  kinds: ["NetworkPolicy", "NetworkPolicy", "PersistentVolumeClaim", "PersistentVolumeClaim", "Pod", "Service", "StatefulSet"],
  claims: { "/registry": "registry-restored", "/backup": "registry-backup" },
};

/** What the chart itself must refuse, and the words that say why. */
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ["logins over plain http", "publicUrl=http://registry.example", /at '\/publicUrl': .* does not match pattern/],
  ["two pods over one store", "replicas=2", /additional properties 'replicas' not allowed/],
  ["metrics for whoever asks", "metrics.enabled=true", /at '\/metrics\/tokenSecretName'/],
  ["an image by half a digest", "image.digest=sha256:00", /at '\/image\/digest'/],
  ["a setting that is no variable", "settings.bind-addr=x", /invalid propertyName 'bind-addr'/],
  ["a value that it does not know", "backup.claim=kept", /at '\/backup': additional properties 'claim' not allowed/],
  ["a volume of no size", "backup.size=large", /at '\/backup\/size'/],
  ["a switch that is neither on nor off", "backup.enabled=maybe", /at '\/backup\/enabled': got string, want boolean/],
  ["a restore of nothing", "restore.enabled=true", /restore\.enabled needs backup\.enabled/],
  ["a backup beside what it is of", "backup.enabled=true,persistence.name=backup", /a backup needs a volume of its own/],
];

function render(helm: string, set: readonly string[]): readonly string[] {
  return [helm, "template", "registry", CHART, ...set.flatMap((value) => ["--set", value])];
}

/** The server would start with what the pod gives it, but for the files that are not here. */
function checkSettings(env: readonly z.infer<typeof variable>[]): void {
  const image = { REGISTRY_DIR: "/registry", BIND_ADDR: "0.0.0.0:8470" };
  loadConfig({ ...image, ...Object.fromEntries(env.map(({ name, value }) => [name, value])) });
}

const rules = z.looseObject({ spec: z.looseObject({ rules: z.array(z.looseObject({ host: z.string() })) }) });

function hostsOf(documents: readonly Document[]): readonly string[] {
  const ingress = documents.find(({ kind }) => kind === "Ingress");
  return rules.parse(ingress).spec.rules.map(({ host }) => host);
}

/** Everything mounted is there, and what is kept lies where the case says. */
function checkMounts(
  { title, claims = { "/registry": "registry-data" } }: Case,
  { containers: [{ volumeMounts }], volumes }: Confined,
): void {
  const found = new Map(volumes.map(({ name, persistentVolumeClaim: kept }) => [name, kept?.claimName]));
  for (const { name } of volumeMounts) if (!found.has(name)) throw new Error(`${title}: nothing is mounted as ${name}`);
  const kept = volumeMounts.flatMap(({ name, mountPath }) => (found.get(name) === undefined ? [] : [[mountPath, found.get(name)]]));
  const wanted = Object.entries(claims);
  if (JSON.stringify(kept) !== JSON.stringify(wanted)) throw new Error(`${title}: it mounts ${JSON.stringify(kept)}`);
}

/** What the chart renders; throws unless it is of the kinds, and all claims are kept. */
async function rendered(helm: string, { title, set, kinds }: Case): Promise<readonly Document[]> {
  const [program = "", ...args] = render(helm, set);
  const text = await mustRun(program, args);
  const documents: readonly Document[] = parseAllDocuments(text).map((document) => anyDocument.parse(document.toJS()));
  const found = documents.map(({ kind }) => kind).toSorted();
  if (found.join() !== kinds.join()) throw new Error(`${title}: it renders ${found.join(", ")}`);
  for (const document of documents) if (document.kind === "PersistentVolumeClaim") claim.parse(document);
  return documents;
}

async function checkCase(helm: string, one: Case): Promise<void> {
  const documents = await rendered(helm, one);
  const { spec } = statefulSet.parse(documents.find(({ kind }) => kind === "StatefulSet"));
  const [pod] = spec.template.spec.containers;
  if (spec.replicas !== 1) throw new Error(`${one.title}: there are ${spec.replicas} pods`);
  checkSettings(pod.env);
  checkMounts(one, spec.template.spec);
  if (one.holds?.(pod, documents) === false) throw new Error(`${one.title}: it is not as it should be\n${JSON.stringify(documents)}`);
  process.stdout.write(`ok     ${one.title}\n`);
}

/** What has to be the same of every pod that the volumes are given to. */
function confinement({ securityContext, imagePullSecrets, containers: [one] }: Confined): unknown {
  return [securityContext, imagePullSecrets, one.image, one.securityContext, one.resources];
}

/** A pod as confined as the registry's, over the same volumes, that no client is led to while the registry is away. */
async function checkRestore(helm: string): Promise<void> {
  const documents = await rendered(helm, RESTORING);
  const registry = statefulSet.parse(documents.find(({ kind }) => kind === "StatefulSet")).spec;
  const { metadata, spec } = restorePod.parse(documents.find(({ kind }) => kind === "Pod"));
  checkMounts(RESTORING, spec);
  const isSame = JSON.stringify(confinement(registry.template.spec)) === JSON.stringify(confinement(spec));
  must(isSame, `the pod of a restore is confined in another way\n${JSON.stringify(spec)}`);
  must(registry.replicas === 0, "a registry runs beside the restore");
  const isLed = Object.entries(registry.template.metadata.labels).every(([name, value]) => metadata.labels[name] === value);
  must(!isLed, "clients are led to the pod of a restore");
  process.stdout.write(`ok     ${RESTORING.title}\n`);
}

async function checkRefusal(helm: string, [title, set, words]: (typeof REFUSED)[number]): Promise<void> {
  const [program = "", ...args] = render(helm, [set]);
  mustBeRefused(await run(program, args), words);
  process.stdout.write(`ok     refuses ${title}\n`);
}

try {
  const helm = await installGoTool(HELM);
  await mustRun(helm, ["lint", "--strict", CHART]);
  process.stdout.write("ok     helm lint --strict\n");
  for (const one of CASES) await checkCase(helm, one);
  await checkRestore(helm);
  for (const one of REFUSED) await checkRefusal(helm, one);
} catch (error) {
  process.stdout.write(`FAILED ${String(error)}\n`);
  process.exitCode = 1;
}
