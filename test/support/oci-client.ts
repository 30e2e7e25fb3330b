import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { Asking, Models } from "./models.ts";

/** Pushes and pulls by `/v2` as oras does. */
export class OciClient {
  readonly #models: Models;

  constructor(models: Models) {
    this.#models = models;
  }

  /** Pushes a file as the only layer of an artifact under a tag; the artifact's digest. */
  async push(repository: string, tag: string, { file, bytes, as = "publisher" }: Pushed): Promise<Digest> {
    const config = "{}";
    for (const blob of [config, bytes]) {
      await this.#must(201, "POST", `/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`, { as, body: blob });
    }
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.test.model",
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(config), size: config.length },
      layers: [
        {
          mediaType: "application/octet-stream",
          digest: digestOf(bytes),
          size: Buffer.byteLength(bytes),
          annotations: { "org.opencontainers.image.title": file },
        },
      ],
    });
    const headers = { "Content-Type": "application/vnd.oci.image.manifest.v1+json" };
    await this.#must(201, "PUT", `/v2/${repository}/manifests/${tag}`, { as, body: manifest, headers });
    return digestOf(manifest);
  }

  /** Pulls an artifact with everything in it, each checked by its digest: the manifest, the config, and the files by their titles. */
  async pull(repository: string, reference: string, as: Asking = "runtime"): Promise<Pulled> {
    const { text } = await this.#must(200, "GET", `/v2/${repository}/manifests/${reference}`, { as });
    const manifest = JSON.parse(text) as Pulled["manifest"];
    const blob = async ({ digest, size }: PulledDescriptor): Promise<string> => {
      const found = await this.#must(200, "GET", `/v2/${repository}/blobs/${digest}`, { as });
      if (digestOf(found.bytes) !== digest || found.bytes.length !== size) throw new Error(`other bytes than ${digest}`);
      return found.text;
    };
    const config = JSON.parse(await blob(manifest.config)) as unknown;
    const files = await Promise.all(
      manifest.layers.map(async (layer) => [layer.annotations?.["org.opencontainers.image.title"] ?? "", await blob(layer)] as const),
    );
    return { digest: digestOf(text), manifest, config, files: Object.fromEntries(files) };
  }

  /** What the doors to the manifest, the config and the layer of an artifact answer, without looking inside. */
  async statuses(repository: string, digests: readonly [manifest: string, ...blobs: string[]], as: Asking): Promise<number[]> {
    const [manifest, ...blobs] = digests;
    const paths = [`manifests/${manifest}`, "manifests/latest", ...blobs.map((blob) => `blobs/${blob}`)];
    return Promise.all(paths.map(async (path) => (await this.#models.ask("GET", `/v2/${repository}/${path}`, { as })).status));
  }

  async #must(status: number, ...asked: Parameters<Models["ask"]>): ReturnType<Models["ask"]> {
    const answer = await this.#models.ask(...asked);
    if (answer.status !== status) throw new Error(`${asked[0]} ${asked[1]}: ${answer.status} ${answer.text}`);
    return answer;
  }
}

interface Pushed {
  readonly file: string;
  readonly bytes: string;
  readonly as?: Asking;
}

interface PulledDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Pulled {
  readonly digest: string;
  readonly manifest: {
    readonly artifactType: string;
    readonly config: PulledDescriptor;
    readonly layers: readonly PulledDescriptor[];
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly config: unknown;
  readonly files: Readonly<Record<string, string>>;
}
