import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

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

/** The reference registry, as a peer for benchmarks. */
export const DISTRIBUTION: GoTool = { path: "github.com/distribution/distribution/v3/cmd/registry", version: "v3.1.2" };

/** Lints and renders charts of Kubernetes. */
export const HELM: GoTool = { path: "helm.sh/helm/v4/cmd/helm", version: "v4.3.1" };

const INSTALL_LIMIT_MS = 600_000;

/** Where built tools are kept between runs: outside of the repository, so that a clean clone finds them. */
function cacheFolder(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "ai-model-registry", "go");
}

/** The path of the program's binary, built by `go install` the first time. Needs Go; throws with Go's own words when the build fails. */
export async function installGoTool({ path, version }: GoTool): Promise<string> {
  const name = basename(path);
  const folder = join(cacheFolder(), `${name}@${version}`);
  const binary = join(folder, name);
  if (existsSync(binary)) return binary;
  await mkdir(folder, { recursive: true });
  // Built aside and renamed, so that an interrupted build leaves nothing that looks like a tool.
  const aside = await mkdtemp(join(folder, "build-"));
  try {
    process.stdout.write(`installing ${path}@${version}\n`);
    await promisify(execFile)("go", ["install", `${path}@${version}`], {
      env: { ...process.env, GOBIN: aside, GOFLAGS: "" },
      timeout: INSTALL_LIMIT_MS,
    });
    await rename(join(aside, name), binary);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return binary;
}
