import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { z } from "zod";
import { HELM, installGoTool } from "./go-tool.ts";
import { doMainJob } from "./main-job-story.ts";
import { must } from "./must.ts";
import { ADDRESS, examineProcess, mustHaveEnded, openPodman, subjectOf } from "./podman.ts";
import { mustRun, run } from "./run-program.ts";

const NAME = "ai-model-registry-trial";
/** As podman names a container of a pod. */
const CONTAINER = `${NAME}-registry`;

const named = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });
const statefulSet = z.looseObject({
  kind: z.literal("StatefulSet"),
  spec: z.looseObject({
    template: z.looseObject({ metadata: z.looseObject({}), spec: z.looseObject({ volumes: z.array(z.unknown()).nullish() }) }),
    volumeClaimTemplates: z.array(named),
  }),
});

/** The pod that Kubernetes makes of the chart, with its claim, as podman takes them: it has no StatefulSet. */
async function renderPod(image: string): Promise<string> {
  const helm = await installGoTool(HELM);
  const values = [`publicUrl=http://${ADDRESS}`, `image.repository=${image}`, "image.tag=latest"];
  const text = await mustRun(helm, ["template", NAME, "deploy/chart", ...values.flatMap((value) => ["--set", value])]);
  const documents = parseAllDocuments(text).map((document) => z.unknown().parse(document.toJS()));
  const { spec } = statefulSet.parse(documents.find((document) => statefulSet.safeParse(document).success));
  const claims = spec.volumeClaimTemplates.map((claim) => ({ ...claim, metadata: { name: `${claim.metadata.name}-${NAME}-0` } }));
  const volumes = spec.volumeClaimTemplates.map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: `${name}-${NAME}-0` },
  }));
  const { metadata, spec: pod } = spec.template;
  return [
    ...claims.map((claim) => ({ apiVersion: "v1", kind: "PersistentVolumeClaim", ...claim })),
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, name: NAME },
      spec: { ...pod, volumes: [...(pod.volumes ?? []), ...volumes] },
    },
  ]
    .map((document) => stringify(document))
    .join("---\n");
}

/** Runs the chart's pod by podman, with an image, and does the main job against it. */
export async function tryPod(image: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-pod-"));
  const podman = await openPodman(folder);
  const file = join(folder, "pod.yaml");
  await writeFile(file, await renderPod(image));
  try {
    await podman.run("kube", "play", file);
    const subject = await subjectOf(podman, CONTAINER);
    await examineProcess(podman, CONTAINER);
    const isReadOnly = (await podman.run("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", CONTAINER)).trim();
    must(isReadOnly === "true", "its root file system can be written");
    const restart = async (): Promise<typeof subject> => {
      await podman.run("pod", "stop", NAME);
      await mustHaveEnded(podman, CONTAINER);
      await podman.run("pod", "start", NAME);
      return subjectOf(podman, CONTAINER);
    };
    must(await doMainJob(subject, restart), "the main job was not done against the chart's pod");
    await podman.run("kube", "down", file);
  } finally {
    // Whatever is left of a trial that failed, without hiding why.
    await run("podman", ["pod", "rm", "--force", "--ignore", NAME], { env: podman.env });
    await run("podman", ["volume", "rm", "--force", `data-${NAME}-0`], { env: podman.env });
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write("ok     podman runs the pod of the chart\n");
}
