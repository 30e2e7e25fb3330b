import { readFileSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allDoors } from "../../src/http/doors.ts";
import { assets } from "../../src/ui/assets.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

// Doors that do not exist yet: each gets its rows with the work that adds it (RULES 31).
describe("the route table", () => {
  const gatekeeper = { admit: () => Promise.reject(new Error("nobody knocks")) };
  const serving = { serviceToken: undefined, draining: () => false, insecureDevMode: false, isLocal: true };
  const paths = (): string[] => allDoors(registry.services, gatekeeper, serving).map(({ method, path }) => `${method} ${path}`);

  test("holds the doors that the matrix and the rows ask, and no other", () => {
    expect(paths().toSorted()).toEqual([...CONTENT, ...LISTS, ...RECORDS, ...MODELS, ...CHANGES, ...NOT_OF_ARTIFACTS].toSorted());
  });

  test("row 20: the audit is taken away by one door, which is behind the gate of the pages like the page of the audit", () => {
    expect(
      paths()
        .filter((path) => /audit/.test(path))
        .toSorted(),
    ).toEqual(["GET /v1/audit", "GET /v1/audit/verify", "GET /ui/audit", "GET /ui/audit/verify", "GET /ui/audit/jsonl"].toSorted());
  });

  test.each([
    ["row 11: no search, events or metrics", /search|event|metric|feed/],
    ["row 12: no proxy, sync, import or export", /proxy|mirror|sync|import|export|backup|layout/],
    ["row 13: no redirect and no presigned URL", /redirect|presign|download|share/],
    ["row 18: no hold that time ends", /hold|delay|schedule|timer|embargo/],
  ])("has, of %s", (_, absent) => {
    expect(paths().filter((path) => absent.test(path))).toEqual([]);
  });
});

const CONTENT = ["GET /v2/:name/blobs/:digest", "GET /v2/:name/manifests/:reference", "GET /v2/:name/referrers/:digest"];
const LISTS = [
  "GET /ui/",
  "GET /ui/explore",
  "GET /ui/review",
  "GET /ui/live",
  "GET /v1/artifacts",
  "GET /v2/:name/tags/list",
  "GET /v2/_catalog",
];
const ARTIFACT = "/v1/artifacts/:ref{[^@:]+(?:[@:]|%40|%3[Aa])[^/]+}";
const PROMOTED = "/v1/tags/:ref{[^@:]+(?::|%3[Aa])[^/]+}/promoted";
const PAGE = ARTIFACT.replace("/v1/", "/ui/");
const RECORDS = [
  ...["", "/trust", "/changes", "/provenance", "/timeline", "/contents", "/card", "/referrers", "/access", "/raw"].map(
    (tab) => `GET ${PAGE}${tab}`,
  ),
  "POST /v1/policies/:name/replay",
  "POST /ui/policies/try",
  `GET ${ARTIFACT}`,
  `GET ${ARTIFACT}/history`,
  `GET ${ARTIFACT}/decision`,
  `GET ${ARTIFACT}/snapshot`,
];
const MODELS = [
  "GET /v1/models",
  "GET /v1/model",
  "GET /v1/model/path",
  "POST /v1/model/verify",
  "POST /v1/model/verify-manifest",
  "POST /v1/models/verify-all",
];
const CHANGES = [
  ...["acquire", "quarantine", "promote", "revoke"].map((event) => `POST /v1/model/${event}`),
  "DELETE /v1/model/delete",
  ...["quarantine", "evaluate", "approve", "promote", "revoke"].map((event) => `POST ${ARTIFACT}/${event}`),
  ...["quarantine", "approve", "withdraw", "promote", "revoke", "delete"].map((act) => `POST ${PAGE}/${act}`),
  `DELETE ${ARTIFACT}`,
  `DELETE ${ARTIFACT}/approve`,
  `PUT ${PROMOTED}`,
  `DELETE ${PROMOTED}`,
  "PUT /v2/:name/manifests/:reference",
  "DELETE /v2/:name/manifests/:reference",
  "DELETE /v2/:name/blobs/:digest",
  "POST /v2/:name/blobs/uploads/",
  ...["GET", "PATCH", "PUT", "DELETE"].map((method) => `${method} /v2/:name/blobs/uploads/:upload`),
];
const NOT_OF_ARTIFACTS = [
  "GET /v2",
  "GET /v2/",
  ...["GET", "POST"].flatMap((method) => [`${method} /auth/token`, `${method} /v1/credentials`, `${method} /v1/namespaces`]),
  "POST /v1/credentials/:id{[\\w-]+}/rotate",
  "DELETE /v1/credentials/:id{[\\w-]+}",
  "GET /v1/namespaces/:namespace",
  "PUT /v1/namespaces/:namespace/quota",
  "GET /v1/audit",
  "GET /v1/audit/verify",
  "GET /v1/stats",
  "GET /v1/models/verify-all",
  "DELETE /v1/models/verify-all",
  "GET /v1/integrity/status",
  "GET /v1/keys",
  "POST /v1/keys/rotate",
  "GET /v1/policies",
  "GET /v1/trust-roots",
  ...["GET", "PUT", "DELETE"].map((method) => `${method} /v1/trust-roots/:name`),
  "PUT /v1/trust-roots/:name/update",
  ...["GET", "PUT", "DELETE"].map((method) => `${method} /v1/policies/:name`),
  "GET /v1/statements",
  "GET /v1/revoked-authorities",
  "POST /v1/revoked-authorities",
  "DELETE /v1/revoked-authorities/:statement",
  "GET /v1/whoami",
  ...assets.map(({ path }) => `GET ${path}`),
  "GET /ui",
  "GET /ui/sign-in",
  "POST /ui/sign-in",
  "POST /ui/sign-out",
  "GET /ui/audit",
  "GET /ui/audit/verify",
  "GET /ui/audit/jsonl",
  "GET /ui/policies",
  "GET /ui/policies/:name{[a-z0-9-]+}",
  "GET /ui/policies/:name{[a-z0-9-]+}/difference",
  "POST /ui/policies/:name{[a-z0-9-]+}/end",
  "GET /ui/operations",
  "POST /ui/operations/verify",
  "POST /ui/operations/verify/cancel",
  "GET /ui/trust",
  "POST /ui/trust/roots/end",
  "POST /ui/trust/revoke",
  "POST /ui/trust/lift",
  "GET /ui/identities",
  "GET /ui/identities/:name{[a-z0-9._-]+}",
  ...["disable", "enable", "namespaces"].map((act) => `POST /ui/identities/:name{[a-z0-9._-]+}/${act}`),
  "POST /ui/keys",
  ...["rotate", "revoke"].map((act) => `POST /ui/keys/:id{[\\w-]+}/${act}`),
  "GET /ui/sessions",
  "POST /ui/sessions/end-all",
  "POST /ui/sessions/:id{[\\w-]+}/end",
  "GET /health",
  "GET /livez",
  "GET /readyz",
];

test("every row of protocol.md §9 has a test that bears its number", () => {
  const files = readdirSync("test/gate").filter((file) => file.endsWith(".ts"));
  const texts = files.map((file) => readFileSync(`test/gate/${file}`, "utf8"));
  const rows = new Set(texts.flatMap((text) => [...text.matchAll(/"row (\d+): /g)].map(([, number]) => Number(number))));
  expect([...rows].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, n) => n + 1));
});
