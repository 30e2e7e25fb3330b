import { mkdtemp, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { makeBaseImage } from "./base-image.ts";
import { tryCompose } from "./compose.ts";
import { tryContainer } from "./container.ts";
import { needPrograms } from "./debian-tools.ts";
import { HELM, ORAS, installGoTool } from "./go-tool.ts";
import { examineImage } from "./image-content.ts";
import { inOwnNetwork } from "./own-network.ts";
import { tryPod } from "./pod.ts";
import { tryQuadlet } from "./quadlet.ts";
import { CHECKOUT } from "./registry-process.ts";
import { mustRun, run } from "./run-program.ts";

/*
 * Builds the image without a network, twice, and looks at what is in it; then runs it without a network, with a root file system that
 * cannot be written and under the system-call profile, and has it do everything.
 */

const BASE = "localhost/ai-model-registry-base";
const IMAGE = "localhost/ai-model-registry";
const BUILD_LIMIT_MS = 600_000;

/** Builds the image by its Containerfile; its id. */
async function build(folder: string, round: number): Promise<string> {
  const iidFile = join(folder, `id-${round}`);
  const base = [`NODE_IMAGE=${BASE}`, "npm_config_cache=/npm-cache", "npm_config_offline=true"].flatMap((arg) => ["--build-arg", arg]);
  const cache = (await mustRun("npm", ["config", "get", "cache"])).trim() || join(homedir(), ".npm");
  const options = ["--isolation", "chroot", "--pull-never", "--no-cache", "--layers=false", "--timestamp", "0"];
  const args = ["buildah", "bud", ...options, ...base, "--volume", `${cache}:/npm-cache`, "--iidfile", iidFile, "--tag", IMAGE, CHECKOUT];
  await inOwnNetwork(args, BUILD_LIMIT_MS);
  return (await readFile(iidFile, "utf8")).trim();
}

async function buildTwice(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-image-"));
  try {
    await makeBaseImage(folder, BASE);
    process.stdout.write("ok     a base image of this machine's files\n");
    const [first, second] = await Promise.all([build(folder, 1), build(folder, 2)]);
    if (first !== second) throw new Error(`two builds made ${first} and ${second}`);
    process.stdout.write(`ok     two builds without a network made the same image, ${first}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const PROGRAMS = {
  buildah: "buildah",
  catatonit: "catatonit",
  "podman-compose": "podman-compose",
  "systemd-analyze": "systemd",
  podman: "podman",
  // What publishes ports, for either kind of network that podman may have.
  iptables: "iptables",
  nft: "nftables",
  runc: "runc",
  busybox: "busybox-static",
  unshare: "util-linux",
} as const;

try {
  if (process.argv[2] === "offline") for (const attempt of [tryContainer, tryCompose, tryPod]) await attempt(IMAGE);
  else {
    await needPrograms(PROGRAMS);
    for (const tool of [ORAS, HELM]) await installGoTool(tool);
    await buildTwice();
    await examineImage(IMAGE);
    await tryQuadlet();
    const said = await inOwnNetwork([process.execPath, "conformance/image.ts", "offline"], BUILD_LIMIT_MS);
    process.stdout.write(said);
  }
} catch (error) {
  process.stdout.write(`FAILED ${String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (process.argv[2] !== "offline") await run("buildah", ["rmi", "--force", IMAGE, BASE]);
}
