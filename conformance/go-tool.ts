import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { toolCache } from "./tool-cache.ts";

/** A Go program by module path and exact version: what it does can't change between two runs. */
export interface GoTool {
  readonly path: string;
  readonly version: string;
}

/** The official conformance suite of the OCI distribution specification. */
export const CONFORMANCE_SUITE: GoTool = {
  path: "github.com/opencontainers/distribution-spec/conformance",
  version: "v0.0.0-20260831232431-97274622c111",
};

/** The client that most people push artifacts with. */
export const ORAS: GoTool = { path: "oras.land/oras/cmd/oras", version: "v1.3.6" };

/** Clients of registries in general. */
export const CRANE: GoTool = { path: "github.com/google/go-containerregistry/cmd/crane", version: "v0.22.1" };
export const REGCTL: GoTool = { path: "github.com/regclient/regclient/cmd/regctl", version: "v0.11.7" };

/** The signing tool that most people sign container images with, and its version before, which signs by tags. */
export const COSIGN: GoTool = { path: "github.com/sigstore/cosign/v3/cmd/cosign", version: "v3.1.3" };
export const COSIGN_2: GoTool = { path: "github.com/sigstore/cosign/v2/cmd/cosign", version: "v2.6.5" };

/** The reference registry, as a peer for benchmarks. */
export const DISTRIBUTION: GoTool = { path: "github.com/distribution/distribution/v3/cmd/registry", version: "v3.1.2" };

/** Lints and renders charts of Kubernetes. */
export const HELM: GoTool = { path: "helm.sh/helm/v4/cmd/helm", version: "v4.3.1" };

/** cosign takes minutes on two cores that have nothing else to do. */
const INSTALL_LIMIT_MS = 1_200_000;

/** The path of the program's binary, built by `go install` the first time. Needs Go; throws with Go's own words when the build fails. */
export async function installGoTool({ path, version }: GoTool): Promise<string> {
  const name = basename(path);
  const folder = join(toolCache("go"), `${name}@${version}`);
  const binary = join(folder, name);
  if (existsSync(binary)) return binary;
  await mkdir(folder, { recursive: true });
  // Built aside and renamed, so that an interrupted build leaves nothing that looks like a tool.
  const aside = await mkdtemp(join(folder, "build-"));
  try {
    process.stdout.write(`installing ${path}@${version}\n`);
    const options = { env: { ...process.env, GOBIN: aside, GOFLAGS: "" }, timeout: INSTALL_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 };
    await promisify(execFile)("go", ["install", `${path}@${version}`], options).catch((error: unknown) => {
      throw new Error(`go install ${path}@${version} failed:\n${withoutDownloads(error)}`, { cause: error });
    });
    await rename(join(aside, name), binary);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return binary;
}

/** What Go says of a failure, after the hundreds of lines about what it has fetched. */
function withoutDownloads(error: unknown): string {
  const { stderr = "", killed = false } = error as { readonly stderr?: string; readonly killed?: boolean };
  const lines = stderr.split("\n").filter((line) => !line.startsWith("go: downloading "));
  return killed ? `it took longer than ${INSTALL_LIMIT_MS / 1_000} s` : lines.join("\n");
}
