import { NO_ROWS } from "../../support/blob-rows.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { repositoryNameSchema } from "../../../src/oci/reference.ts";
import { openLinkedTree } from "../../../src/storage/linked-tree.ts";

/** `link-forever.ts <folder> <blob>…`: makes and removes the folder of one manifest until it is killed; says when it begins. */
const [, , folder = "", ...contents] = process.argv;
const tree = await openLinkedTree(folder, NO_ROWS);
const repository = repositoryNameSchema.parse("models/llama");
const files = contents.map((content, at) => ({ path: `deep/${at}`, blob: digestOf(content) }));
process.stdout.write("begins\n");
for (;;) {
  await tree.link(repository, digestOf("a manifest"), files, async () => true);
  await tree.unlink(repository, digestOf("a manifest"));
}
