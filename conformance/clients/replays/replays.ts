import type { Client } from "../../client-report.ts";
import { type Blob, DOCKER_MANIFEST, type Model, OCI_MANIFEST } from "./content.ts";
import { pullAndResume, pullAsOllama, pullInManyParts, pullModel, pullWhole } from "./pulls.ts";
import { pushAsOllama, pushInChunks, pushModel, pushModelAndTag, pushWhole } from "./pushes.ts";
import type { TokenCall, Wire } from "./wire.ts";

/** A client that cannot be had here, as the requests that it sends; its version is the commit of its source that they were read from. */
export interface Replay {
  readonly client: Client;
  readonly tokenCall: TokenCall;
  /** Pushes weights as the client would, as `v1`; answers the digest of the manifest. */
  push(wire: Wire, weights: Blob["bytes"]): Promise<string>;
  /** Pulls by a digest or a tag; answers the layers. */
  pull(wire: Wire, reference: string): Promise<readonly Uint8Array[]>;
}

function json(mediaType: string, content: object): Blob {
  return { mediaType, bytes: new TextEncoder().encode(JSON.stringify(content)) };
}

const modelPack = (weights: Blob["bytes"]): Model => ({
  manifestType: OCI_MANIFEST,
  artifactType: "application/vnd.cncf.model.manifest.v1+json",
  config: json("application/vnd.cncf.model.config.v1+json", { descriptor: { name: "demo" }, config: {}, modelfs: { type: "layers" } }),
  layers: [{ mediaType: "application/vnd.cncf.model.weight.v1.raw", bytes: weights }],
});

const whole = { accept: OCI_MANIFEST, head: true, blob: pullWhole };

/** All that are replayed, in the order of the table. */
export const REPLAYS: readonly Replay[] = [
  {
    client: { name: "kit, replayed", version: "6bd0688" },
    tokenCall: "get",
    push: (wire, weights) =>
      pushModel(
        wire,
        {
          manifestType: OCI_MANIFEST,
          config: json("application/vnd.kitops.modelkit.config.v1+json", { manifestVersion: "1.0.0", model: { path: "weights.gguf" } }),
          layers: [{ mediaType: "application/vnd.kitops.modelkit.model.v1.tar", bytes: weights }],
        },
        pushInChunks,
      ),
    pull: (wire, reference) => pullModel(wire, reference, whole),
  },
  {
    client: { name: "modctl, replayed", version: "039de5b" },
    tokenCall: "get",
    push: (wire, weights) => pushModelAndTag(wire, modelPack(weights)),
    pull: (wire, reference) => pullModel(wire, reference, whole),
  },
  {
    client: { name: "Docker Model Runner, replayed", version: "001a05d" },
    tokenCall: "form",
    push: (wire, weights) =>
      pushModel(
        wire,
        {
          manifestType: OCI_MANIFEST,
          config: json("application/vnd.docker.ai.model.config.v0.1+json", { config: { format: "gguf" }, rootfs: { type: "rootfs" } }),
          layers: [{ mediaType: "application/vnd.docker.ai.gguf.v3", bytes: weights }],
        },
        pushWhole,
      ),
    pull: (wire, reference) =>
      pullModel(wire, reference, { accept: `${DOCKER_MANIFEST}, ${OCI_MANIFEST}, */*`, head: true, blob: pullAndResume }),
  },
  {
    client: { name: "ollama, replayed", version: "01ca4ec" },
    tokenCall: "get",
    push: (wire, weights) =>
      pushModel(
        wire,
        {
          manifestType: DOCKER_MANIFEST,
          config: json("application/vnd.docker.container.image.v1+json", { model_format: "gguf", rootfs: { type: "layers" } }),
          layers: [{ mediaType: "application/vnd.ollama.image.model", bytes: weights }],
        },
        pushAsOllama,
      ),
    pull: (wire, reference) => pullModel(wire, reference, { accept: DOCKER_MANIFEST, head: false, blob: pullAsOllama }),
  },
  {
    client: { name: "readers of ranges", version: "any" },
    tokenCall: "get",
    push: (wire, weights) => pushModel(wire, modelPack(weights), pushWhole),
    pull: (wire, reference) => pullModel(wire, reference, { accept: OCI_MANIFEST, head: true, blob: pullInManyParts }),
  },
];
