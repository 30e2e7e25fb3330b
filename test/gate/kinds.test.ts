import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { findManifest, readerOf, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const READER = readerOf(new Set(["pull"] as const));
const AT = repository("models/m");

async function start(): Promise<{ at: Transitions; hidden: object; holder: object }> {
  const at = await Transitions.start();
  const hidden = imageOf(["secret weights"]);
  const holder = imageOf([JSON.stringify(hidden)]);
  for (const content of ["{}", "secret weights", JSON.stringify(hidden)]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, hidden);
  await at.manifest(publisher, AT, holder);
  await at.promote(operator, AT, digestIn(holder));
  return { at, hidden, holder };
}

// RULES 1: `config`, `layers` and `blobs` reach blobs only, `manifests` reaches manifests only.
describe("the bytes of a manifest that are also a layer of a trusted artifact", () => {
  test("are served as the layer, and as a manifest still wait for their promotion", async () => {
    const { at, hidden } = await start();
    await using _ = at;
    expect((await serveBlob(at.services, READER, AT, digestIn(hidden))).serving.effect).toBe("allow");
    const found = await findManifest(at.services, AT, digestIn(hidden));
    expect(await serveManifest(at.services, READER, AT, found?.record)).toEqual({ effect: "absent" });
  });

  test("can be quarantined and deleted as a manifest, since no root reaches them as one", async () => {
    const { at, hidden } = await start();
    await using _ = at;
    expect((await at.quarantine(publisher, AT, digestIn(hidden))).state).toBe("quarantined");
    expect((await at.delete(publisher, AT, digestIn(hidden))).state).toBe("deleted");
  });

  test("are no revoked manifest when the artifact with the layer is revoked", async () => {
    const { at, hidden, holder } = await start();
    await using _ = at;
    await at.revoke(operator, AT, digestIn(holder));
    expect((await serveBlob(at.services, READER, AT, digestIn(hidden))).serving.effect).toBe("denied");
    const found = await findManifest(at.services, AT, digestIn(hidden));
    expect(await serveManifest(at.services, READER, AT, found?.record)).toEqual({ effect: "absent" });
  });

  test("are not served as a blob because a trusted index lists them as a child", async () => {
    await using at = await Transitions.start();
    const child = imageOf(["weights"]);
    const index = indexOf([child]);
    for (const content of ["{}", "weights", JSON.stringify(child)]) await at.blob(publisher, AT, content);
    await at.manifest(publisher, AT, child);
    await at.manifest(publisher, AT, index);
    await at.promote(operator, AT, digestIn(index));
    expect((await serveBlob(at.services, READER, AT, digestIn(child))).serving.effect).toBe("absent");
    expect((await serveBlob(at.services, READER, AT, digestOf("{}"))).serving.effect).toBe("allow");
  });
});
