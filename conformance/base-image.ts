import { copyFile, cp, mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mustRun } from "./run-program.ts";

const CONTAINERFILE = `FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/bin
`;

/**
 * Makes an image that has what the Containerfile needs of its base, as the official image of Node has it: a shell with the usual
 * commands, npm, and the Node that runs this with its libraries. All of it comes from this machine.
 */
export async function makeBaseImage(folder: string, name: string): Promise<void> {
  const [root, context] = [join(folder, "root"), join(folder, "base")];
  for (const path of ["bin", "etc", "tmp", "root", "proc", "dev", "sys", "usr/local/bin", "usr/local/lib/node_modules"]) {
    await mkdir(join(root, path), { recursive: true });
  }
  await mkdir(context);
  await copyFile("/bin/busybox", join(root, "bin/busybox"));
  const commands = (await mustRun("busybox", ["--list"])).split("\n").filter((command) => /^\w[\w.-]*$/.test(command));
  for (const command of commands) if (command !== "busybox") await symlink("busybox", join(root, "bin", command));
  await symlink("/bin", join(root, "usr/bin"));
  await writeFile(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
  await copyFile(process.execPath, join(root, "usr/local/bin/node"));
  for (const library of (await mustRun("ldd", [process.execPath])).match(/\/\S+/g) ?? []) {
    await mkdir(dirname(join(root, library)), { recursive: true });
    await copyFile(library, join(root, library));
  }
  // npm's own folder, of which this is two below.
  const npm = process.env["npm_execpath"] ?? (await realpath((await mustRun("sh", ["-c", "command -v npm"])).trim()));
  await cp(dirname(dirname(npm)), join(root, "usr/local/lib/node_modules/npm"), { recursive: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm"));
  await mustRun("tar", ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", root, "-cf", join(context, "root.tar"), "."]);
  await writeFile(join(context, "Containerfile"), CONTAINERFILE);
  await mustRun("buildah", ["bud", "--isolation", "chroot", "--pull-never", "--timestamp", "0", "--tag", name, context], {
    limitMs: 300_000,
  });
}
