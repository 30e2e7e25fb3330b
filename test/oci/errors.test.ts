import { describe, expect, test } from "vitest";
import { ERRORS, RegistryError } from "../../src/oci/errors.ts";

/** distribution-spec §Error codes. */
const SPECIFIED = [
  "BLOB_UNKNOWN",
  "BLOB_UPLOAD_INVALID",
  "BLOB_UPLOAD_UNKNOWN",
  "DIGEST_INVALID",
  "MANIFEST_BLOB_UNKNOWN",
  "MANIFEST_INVALID",
  "MANIFEST_UNKNOWN",
  "NAME_INVALID",
  "NAME_UNKNOWN",
  "SIZE_INVALID",
  "UNAUTHORIZED",
  "DENIED",
  "UNSUPPORTED",
  "TOOMANYREQUESTS",
];

describe("the table of errors", () => {
  test.each(Object.entries(ERRORS))(
    "%s has a code of the specification, a status of an error and a message",
    (_, { oci, status, message }) => {
      expect(SPECIFIED).toContain(oci);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
      expect(message).toMatch(/\S/);
    },
  );

  test("answers what is unknown with 404, so that a hidden object looks the same", () => {
    const unknown = Object.values(ERRORS).filter(({ oci }) => oci.endsWith("_UNKNOWN") && oci !== "MANIFEST_BLOB_UNKNOWN");
    expect(new Set(unknown.map(({ status }) => status))).toEqual(new Set([404]));
  });
});

test("a RegistryError says its code's message unless it is given a better one", () => {
  expect(new RegistryError("DENIED").message).toBe(ERRORS.DENIED.message);
  expect(new RegistryError("DENIED", "because").message).toBe("because");
  expect(new RegistryError("DENIED").headers).toEqual({});
});
