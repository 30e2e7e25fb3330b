import { isDigest } from "../../../src/oci/digest.ts";
import { loadConfig } from "../../../src/config.ts";
import { createLogger } from "../../../src/log.ts";
import { openRegistry } from "../../../src/services.ts";
import { callerWith } from "../../support/callers.ts";
import { Transitions } from "../../support/transitions.ts";
import { treeWith } from "../../support/workers.ts";

/** `change-folder.ts <data directory> <repository> <digest> promote|revoke`: says when it is about to change the folder, and goes no further. */
const [, , directory = "", repository = "", digest = "", event] = process.argv;
const operator = callerWith(["operator@*"], { name: "operator" });
const services = await openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("silent"));

function stop(): Promise<never> {
  process.stdout.write("about to\n");
  setInterval(() => {}, 1000);
  return new Promise(() => {});
}

const tree = treeWith(services.tree, {
  link: (repo, manifest, files) => services.tree.link(repo, manifest, files, stop),
  unlink: stop,
});
const at = Transitions.over(directory, { ...services, tree });
if (!isDigest(digest)) throw new TypeError("not a digest");
if (event === "promote") await at.promote(operator, repository, digest);
else await at.revoke(operator, repository, digest);
