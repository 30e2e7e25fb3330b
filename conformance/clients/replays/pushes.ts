import { createHash } from "node:crypto";
import { must } from "../../must.ts";
import { type Blob, CHUNK_SIZE, type Model, digestOf, locationOf, manifestOf, partsOf, withParameters } from "./content.ts";
import type { Wire } from "./wire.ts";

const OCTETS = { "content-type": "application/octet-stream" };

/** How a client pushes one blob. */
type BlobPush = (wire: Wire, blob: Blob) => Promise<void>;

/** HEAD, POST, PUT with the whole body: oras, and modctl, which is made of the same library. */
export const pushWhole: BlobPush = async (wire, { bytes }) => {
  const digest = digestOf(bytes);
  if ((await wire.send(`blobs/${digest}`, [200, 404], { method: "HEAD" })).status === 200) return;
  const location = locationOf(await wire.send("blobs/uploads/", [202], { method: "POST" }));
  await wire.send(withParameters(location, { digest }), [201], { method: "PUT", headers: OCTETS, body: bytes });
};

/** POST, PATCH after PATCH of which each must be told back exactly, PUT without a body: kit, with what is larger than a chunk. */
export const pushInChunks: BlobPush = async (wire, blob) => {
  if (blob.bytes.length < CHUNK_SIZE) return pushWhole(wire, blob);
  let location = locationOf(await wire.send("blobs/uploads/", [202], { method: "POST" }));
  for (const [first, last] of partsOf(blob.bytes.length, CHUNK_SIZE)) {
    const headers = { ...OCTETS, "content-range": `${first}-${last}` };
    const answer = await wire.send(location, [202], { method: "PATCH", headers, body: blob.bytes.slice(first, last + 1) });
    must(answer.headers.get("range") === `0-${last}`, `a chunk to ${last} was told back as ${answer.headers.get("range")}`);
    location = locationOf(answer);
  }
  await wire.send(withParameters(location, { digest: digestOf(blob.bytes) }), [201], { method: "PUT" });
};

/** HEAD, POST, PATCH after PATCH that ask for a redirection, PUT with a checksum of their checksums beside the digest: ollama. */
export const pushAsOllama: BlobPush = async (wire, { bytes }) => {
  const digest = digestOf(bytes);
  if ((await wire.send(`blobs/${digest}`, [200, 404], { method: "HEAD" })).status === 200) return;
  let location = locationOf(await wire.send("blobs/uploads/", [202], { method: "POST" }));
  const parts = partsOf(bytes.length, CHUNK_SIZE);
  const sums = createHash("md5");
  for (const [first, last] of parts) {
    const body = bytes.slice(first, last + 1);
    sums.update(createHash("md5").update(body).digest());
    const headers = { ...OCTETS, "content-range": `${first}-${last}`, "x-redirect-uploads": "1" };
    location = locationOf(await wire.send(location, [202], { method: "PATCH", headers, body }));
  }
  const etag = `${sums.digest("hex")}-${parts.length}`;
  await wire.send(withParameters(location, { digest, etag }), [201], { method: "PUT", headers: OCTETS });
};

/** Pushes the blobs by turns of a client's way, and the manifest by its tag; answers the digest. */
export async function pushModel(wire: Wire, model: Model, pushBlob: BlobPush): Promise<string> {
  for (const blob of [...model.layers, model.config]) await pushBlob(wire, blob);
  const body = manifestOf(model);
  await wire.send("manifests/v1", [201], { method: "PUT", headers: { "content-type": model.manifestType }, body });
  return digestOf(body);
}

/** The same, where the manifest is pushed by its digest, read back, and pushed again as the tag: modctl. */
export async function pushModelAndTag(wire: Wire, model: Model): Promise<string> {
  for (const blob of [...model.layers, model.config]) await pushWhole(wire, blob);
  const body = manifestOf(model);
  const digest = digestOf(body);
  const headers = { "content-type": model.manifestType };
  await wire.send(`manifests/${digest}`, [404], { method: "HEAD", headers: { accept: model.manifestType } });
  await wire.send(`manifests/${digest}`, [201], { method: "PUT", headers, body });
  const kept = await wire.send(`manifests/${digest}`, [200], { headers: { accept: model.manifestType } });
  await wire.send("manifests/v1", [201], { method: "PUT", headers, body: new Uint8Array(await kept.arrayBuffer()) });
  return digest;
}
