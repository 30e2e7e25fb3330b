import { expect, test } from "vitest";
import { explorePage } from "../../src/ui/explore.ts";
import { identitiesPage } from "../../src/ui/identities.ts";
import { identityPage } from "../../src/ui/identity.ts";
import { policiesPage } from "../../src/ui/policies.ts";
import { tryPage } from "../../src/ui/policy-try.ts";
import { reviewPage } from "../../src/ui/review.ts";
import { trustPage } from "../../src/ui/trust-roots.ts";

/** What a page may have besides its frame. */
const BOUND = 46_000;
/** The longest that there are, of characters that take most as markup where others choose them. */
const REPOSITORY = `n/${"r".repeat(253)}`;
const NAME = "n".repeat(64);
const DIGEST = `sha256:${"f".repeat(64)}`;
const HOSTILE = '"'.repeat(1_024);
const AT = "2026-11-26T00:00:00.000Z";
const VIEWER = { name: NAME, token: "t".repeat(43) };
const ARTIFACT = {
  repository: REPOSITORY,
  digest: DIGEST,
  tags: ["t".repeat(128), "u".repeat(128), "v".repeat(128)],
  state: "quarantined",
} as const;

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

const PAGES: Readonly<Record<string, () => { toString(): string }>> = {
  explore: () =>
    explorePage({
      fields: {
        name: HOSTILE.slice(0, 255),
        digest: DIGEST,
        state: "trusted",
        type: HOSTILE.slice(0, 255),
        format: "gguf",
        signer: HOSTILE.slice(0, 255),
        verdict: "refused",
      },
      artifacts: times(20, { ...ARTIFACT, type: HOSTILE, size: 1e15, changedAt: AT }),
      next: `${REPOSITORY}@${DIGEST}`,
      signers: [],
      fault: undefined,
    }),
  review: () =>
    reviewPage({
      artifacts: times(20, {
        ...ARTIFACT,
        age: 1e12,
        pushedBy: NAME,
        refusedAt: AT,
        difference: "999999 files, 999999 tensors, 999 keys and signers differ",
      }),
      isFirst: true,
      next: `1790000000000/${REPOSITORY}@${DIGEST}`,
      isComplete: false,
    }),
  identities: () =>
    identitiesPage({
      identities: times(40, {
        name: NAME,
        kind: "service",
        roles: times(256, { role: "maintainer", namespace: NAME }),
        isDisabled: true,
        createdBy: NAME,
        createdAt: AT,
      }),
      next: NAME,
      grantable: { roles: times(8, "maintainer"), namespaces: times(20, NAME) },
      viewer: VIEWER,
    }),
  identity: () =>
    identityPage({
      identity: { name: NAME, kind: "service", isDisabled: false, createdBy: NAME, createdAt: AT },
      countsAs: NAME,
      roles: times(8, {
        role: "operator",
        namespace: NAME,
        permissions: times(17, "administer:elevation"),
        why: `${NAME} made the namespace for it, 2026-11-26`,
      }),
      rolesFrom: 0,
      rolesTotal: 256,
      keys: [
        ...times(20, {
          id: "i".repeat(36),
          standing: "live",
          endsSoon: true,
          createdBy: NAME,
          createdAt: AT,
          expiresAt: AT,
          usedAt: AT,
          usedFrom: "a".repeat(64),
          version: 1e15,
        } as const),
        ...times(5, {
          id: "i".repeat(36),
          standing: "revoked",
          endsSoon: false,
          createdBy: NAME,
          createdAt: AT,
          expiresAt: AT,
          usedAt: AT,
          usedFrom: "a".repeat(64),
          version: 1e15,
        } as const),
      ],
      moreKeys: 40,
      version: 1e15,
      done: "revoke",
      hindrances: { key: undefined, disable: undefined, namespace: undefined },
      viewer: VIEWER,
    }),
  policies: () =>
    policiesPage({
      policies: times(30, {
        name: NAME,
        version: 1e9,
        digest: DIGEST,
        repositories: times(64, "r".repeat(1_024)),
        inForce: true,
        by: NAME,
        at: AT,
      }),
      next: 30,
      hindrance: undefined,
      viewer: VIEWER,
    }),
  "a policy that was tried": () =>
    tryPage({
      text: '"'.repeat(3_000),
      faults: [],
      viewer: VIEWER,
      tried: {
        name: NAME,
        digest: DIGEST,
        inForce: DIGEST,
        difference: {
          name: NAME,
          before: { version: 1 },
          after: { version: null },
          effect: "unknown",
          changes: times(500, { path: HOSTILE, effect: "unknown", message: "m".repeat(1_024) } as const),
        },
        artifacts: times(12, {
          repository: REPOSITORY,
          digest: DIGEST,
          outcome: "would-fail",
          failed: times(8, { id: "i".repeat(130), message: "m".repeat(300) }),
        } as const),
        tally: { trusted: 1e9, others: 1e9, stopped: 1e9, passed: 1e9 },
        next: "c".repeat(700),
      },
    }),
  "trust roots": () =>
    trustPage({
      roots: times(15, { name: NAME, digest: DIGEST, by: NAME, at: AT, expiresAt: AT }),
      nextRoots: 15,
      authorities: times(12, {
        statement: DIGEST,
        type: "certificate",
        words: "w".repeat(2_048),
        from: AT,
        reason: "r".repeat(1_024),
        by: NAME,
        at: AT,
        followed: { revoked: 1e9, quarantined: 1e9, kept: 1e9 },
      }),
      nextAuthorities: 12,
      done: "revoked",
      hindrance: undefined,
      viewer: VIEWER,
    }),
};

test.each(Object.keys(PAGES))("%s stays within the bound of a page at its worst", (name) => {
  expect(PAGES[name]?.().toString().length).toBeLessThan(BOUND);
});
