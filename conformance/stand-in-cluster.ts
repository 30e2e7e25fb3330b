import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { z } from "zod";
import { HELM, installGoTool } from "./go-tool.ts";
import { must } from "./must.ts";
import { ADDRESS, type Podman, USER, mustHaveEnded } from "./podman.ts";
import { CHECKOUT, untilAnswers } from "./registry-process.ts";
import { mustRun, run } from "./run-program.ts";

const named = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });
const container = z.looseObject({ name: z.string(), readinessProbe: z.unknown().optional() });
const podSpec = z.looseObject({ containers: z.tuple([container]) });
const pod = named.extend({ kind: z.literal("Pod"), spec: podSpec });
const claim = named.extend({ kind: z.literal("PersistentVolumeClaim") });
const statefulSet = named.extend({
  kind: z.literal("StatefulSet"),
  spec: z.looseObject({ replicas: z.number(), template: z.looseObject({ metadata: z.looseObject({}), spec: podSpec }) }),
});

/** What podman plays of what a chart renders: its claims, and its pods, those of a StatefulSet as Kubernetes makes them. */
interface Played {
  readonly claims: readonly z.infer<typeof claim>[];
  readonly pods: readonly z.infer<typeof pod>[];
}

function playedOf(text: string): Played {
  const documents = parseAllDocuments(text).map((document) => z.unknown().parse(document.toJS()));
  const pods = documents.flatMap((document) => {
    const set = statefulSet.safeParse(document).data;
    if (set === undefined) return pod.safeParse(document).data ?? [];
    const { replicas, template } = set.spec;
    return Array.from({ length: replicas }, (_, number) => ({
      apiVersion: "v1",
      kind: "Pod" as const,
      metadata: { ...template.metadata, name: `${set.metadata.name}-${number}` },
      spec: template.spec,
    }));
  });
  return { claims: documents.flatMap((document) => claim.safeParse(document).data ?? []), pods };
}

/** How podman names the only container of a pod. */
const containerOf = ({ metadata, spec }: z.infer<typeof pod>): string => `${metadata.name}-${spec.containers[0].name}`;

/** Does Kubernetes ask whether it serves? */
const isProbed = ({ spec }: z.infer<typeof pod>): boolean => spec.containers[0].readinessProbe !== undefined;

/** helm renders, podman plays what came out, and kubectl reaches into pods by podman. */
export class StandInCluster {
  readonly #podman: Podman;
  readonly #folder: string;
  readonly #release: string;
  readonly #volumes = new Set<string>();
  #pods: readonly z.infer<typeof pod>[] = [];

  /** A cluster for one release, and the folder in which its operator works. */
  constructor(podman: Podman, folder: string, release: string) {
    this.#podman = podman;
    this.#folder = folder;
    this.#release = release;
  }

  /** Does what a page says, line by line, in which the release is called `registry`; what was written. */
  async do(commands: string): Promise<string> {
    const lines = commands
      .replaceAll(/\bregistry(?=-0|-restore| deploy\/chart)/g, this.#release)
      .trim()
      .split("\n");
    let said = "";
    for (const line of lines) {
      const [program, ...args] = line.split(" ");
      said += program === "helm" ? await this.#upgrade(args) : await this.#call(line);
    }
    return said;
  }

  /** What helm says of a release with these values. */
  async notes(...options: readonly string[]): Promise<string> {
    const args = ["install", this.#release, "deploy/chart", "--dry-run=client", ...options];
    return (await mustRun(await installGoTool(HELM), args)).split("\nNOTES:\n")[1] ?? "";
  }

  /** The container that serves. */
  get serving(): string {
    const [first] = this.#pods;
    if (first === undefined) throw new Error("no pod serves");
    return containerOf(first);
  }

  /** Takes away all that it made. */
  async dispose(): Promise<void> {
    const { env } = this.#podman;
    for (const { metadata } of this.#pods) await run("podman", ["pod", "rm", "--force", "--ignore", metadata.name], { env });
    for (const name of this.#volumes) await run("podman", ["volume", "rm", "--force", name], { env });
  }

  /** Pods have ended before those of the next revision begin, as those of a StatefulSet do; claims stay. */
  async #upgrade([verb, install, release = "", chart = "", ...options]: readonly string[]): Promise<string> {
    must(verb === "upgrade" && install === "--install" && options.includes("--wait"), "the page calls helm in another way");
    const asked = options
      .filter((option) => option !== "--wait")
      .map((option) => (option.endsWith(".yaml") ? join(this.#folder, option) : option));
    const { claims, pods } = playedOf(await mustRun(await installGoTool(HELM), ["template", release, chart, ...asked]));
    for (const one of this.#pods) {
      await this.#podman.run("pod", "stop", one.metadata.name);
      await mustHaveEnded(this.#podman, containerOf(one));
      await this.#podman.run("pod", "rm", one.metadata.name);
    }
    this.#pods = pods;
    for (const { metadata } of claims) if (!this.#volumes.has(metadata.name)) await this.#makeVolume(metadata.name);
    const file = join(this.#folder, "play.yaml");
    await writeFile(file, pods.map((document) => stringify(document)).join("---\n"));
    const said = await this.#podman.run("kube", "play", file);
    if (pods.some(isProbed)) await untilAnswers(`http://${ADDRESS}/readyz`, () => said);
    return said;
  }

  /** As mke2fs leaves a volume, and the kubelet gives it to a pod with `fsGroup`: to root, and to a group that may write. */
  async #makeVolume(name: string): Promise<void> {
    this.#volumes.add(name);
    await this.#podman.run("volume", "create", "--opt", `o=uid=0,gid=${USER}`, name);
    const root = (await this.#podman.run("volume", "inspect", "--format", "{{.Mountpoint}}", name)).trim();
    await mkdir(join(root, "lost+found"), { mode: 0o700 });
    await chown(root, 0, USER);
    await chmod(root, 0o2775);
  }

  async #call(line: string): Promise<string> {
    const pods = this.#pods.map((one) => `${one.metadata.name}) container=${containerOf(one)} ;;`);
    const programs = `kubectl() {
      if [ "$1" = --namespace ]; then shift 2; fi
      if [ "$1" = exec ]; then shift; else echo "nothing stands in for kubectl $1" >&2; return 1; fi
      if [ "$1" = --stdin ]; then stdin=--interactive; shift; else stdin=; fi
      case $1 in ${pods.join(" ")} *) echo "there is no pod $1" >&2; return 1 ;; esac
      shift 2
      podman exec $stdin "$container" "$@"
    }
    securectl() { "${process.execPath}" "${CHECKOUT}/src/cli/main.ts" "$@"; }`;
    return mustRun("sh", ["-e", "-c", `${programs}\n${line}`], { cwd: this.#folder, env: this.#podman.env });
  }
}
