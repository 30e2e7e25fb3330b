import { createHmac, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { newUpload, parseUploadId, uploadHeaders } from "../../src/registry/upload-id.ts";

const secret = randomBytes(32);
const services = {
  random: (bytes: number) => randomBytes(bytes),
  secretFor: (purpose: string) => createHmac("sha256", secret).update(purpose).digest(),
};
const owner = { repository: "models/gpt" as RepositoryName, identity: "alice" };

describe("an upload's id", () => {
  test("is read back by its owner, with its algorithm", () => {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const upload = newUpload(services, owner, algorithm);
      expect(parseUploadId(services, owner, upload.id)).toEqual(upload);
    }
  });

  test("fits what a blob store takes for an id", () => {
    for (let round = 0; round < 100; round += 1) expect(newUpload(services, owner, "sha512").id).toMatch(/^[\w.-]{1,128}$/);
  });

  test("is unknown to another identity, in another repository, and under another secret", () => {
    const { id } = newUpload(services, owner, "sha256");
    expect(parseUploadId(services, { ...owner, identity: "mallory" }, id)).toBeUndefined();
    expect(parseUploadId(services, { ...owner, repository: "models/other" as RepositoryName }, id)).toBeUndefined();
    expect(parseUploadId({ secretFor: () => randomBytes(32) }, owner, id)).toBeUndefined();
  });

  test("says nothing for two owners whose names would run together", () => {
    const { id } = newUpload(services, { repository: "a/b" as RepositoryName, identity: "c" }, "sha256");
    expect(parseUploadId(services, { repository: "a" as RepositoryName, identity: "/bc" }, id)).toBeUndefined();
    expect(parseUploadId(services, { repository: "a/bc" as RepositoryName, identity: "" }, id)).toBeUndefined();
  });

  test("is unknown when any of its characters is another one", () => {
    const { id } = newUpload(services, owner, "sha256");
    const characters = fc.stringMatching(/^[\w.=+/% -]$/);
    fc.assert(
      fc.property(fc.nat(id.length - 1), characters, (at, character) => {
        fc.pre(id[at] !== character);
        expect(parseUploadId(services, owner, id.slice(0, at) + character + id.slice(at + 1))).toBeUndefined();
      }),
    );
  });

  test("is unknown when it is any other text", () => {
    fc.assert(fc.property(fc.string(), (text) => parseUploadId(services, owner, text) === undefined));
  });
});

test("uploadHeaders tell where an upload goes on and how much of it there is", () => {
  const upload = newUpload(services, owner, "sha256");
  expect(uploadHeaders(owner.repository, upload, 1024)).toEqual({
    Location: `/v2/models/gpt/blobs/uploads/${upload.id}?_o=1024`,
    Range: "0-1023",
  });
  expect(uploadHeaders(owner.repository, upload, 0).Range).toBe("0-0");
});
