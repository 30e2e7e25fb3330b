import { expect, test } from "vitest";
import { STATES } from "../../src/lifecycle/state.ts";
import { accessTab } from "../../src/ui/access.ts";
import { type ArtifactHead, artifactPage, artifactTop } from "../../src/ui/artifact.ts";
import { auditPage } from "../../src/ui/audit.ts";
import { cardTab } from "../../src/ui/card.ts";
import { changesTab } from "../../src/ui/changes.ts";
import { contentsTab } from "../../src/ui/contents.ts";
import { errorPage } from "../../src/ui/error.ts";
import { explorePage } from "../../src/ui/explore.ts";
import { framed } from "../../src/ui/frame.ts";
import { type Html, html } from "../../src/ui/html.ts";
import { identitiesPage, madeKeyPage } from "../../src/ui/identities.ts";
import { identityPage } from "../../src/ui/identity.ts";
import { insideTab } from "../../src/ui/inside.ts";
import type { TabName } from "../../src/ui/links.ts";
import { policiesPage } from "../../src/ui/policies.ts";
import { differencePage } from "../../src/ui/policy-difference.ts";
import { tryPage } from "../../src/ui/policy-try.ts";
import { policyPage } from "../../src/ui/policy.ts";
import { provenanceTab } from "../../src/ui/provenance.ts";
import { rawTab } from "../../src/ui/raw.ts";
import { referrersTab } from "../../src/ui/referrers.ts";
import { reviewPage } from "../../src/ui/review.ts";
import { roomBeside } from "../../src/ui/room.ts";
import { sessionsPage } from "../../src/ui/sessions.ts";
import { signInPage } from "../../src/ui/sign-in.ts";
import { startPage } from "../../src/ui/start.ts";
import { timelineTab } from "../../src/ui/timeline.ts";
import { trustPage } from "../../src/ui/trust-roots.ts";
import { trustTab } from "../../src/ui/trust.ts";

/** Bytes of a page (the interface's bound). */
const BOUND = 50_000;
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

const PAGES: Readonly<Record<string, () => Html>> = {
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

const COUNTS = { acquired: 1e15, quarantined: 1e15, trusted: 1e15, revoked: 1e15, deleted: 1e15 } as const;

const MORE: typeof PAGES = {
  start: () =>
    startPage({
      states: COUNTS,
      history: times(30, { day: "2026-11-26", counts: COUNTS }),
      damaged: { count: 1e9, isComplete: false },
      waiting: { count: 1e9, isComplete: false, oldest: 1e15, refused: 1e9 },
      room: 1e15,
      expiring: times(200, { identity: NAME, id: "i".repeat(36), expiresAt: AT }),
    }),
  audit: () =>
    auditPage({
      fields: { actor: HOSTILE.slice(0, 512), type: HOSTILE.slice(0, 512), artifact: HOSTILE.slice(0, 512) },
      events: Array.from({ length: 30 }, (_, at) => ({
        sequence: 1e15 - at,
        time: AT,
        type: "t".repeat(64),
        outcome: "deny",
        actor: HOSTILE,
        from: HOSTILE,
        requestId: HOSTILE,
        target: HOSTILE,
        reason: HOSTILE,
        before: HOSTILE,
        after: HOSTILE,
      })),
      next: 1,
      head: { sequence: 1e15, hash: "f".repeat(64) },
    }),
  sessions: () =>
    sessionsPage(VIEWER, times(20, { id: "i".repeat(36), openedAt: AT, endsAt: AT, usedAt: AT, usedFrom: "a".repeat(64), isThis: true })),
  "sign in": () => signInPage({ next: `/ui/${"n".repeat(2_000)}`, name: HOSTILE, refused: "r".repeat(1_000) }),
  error: () => errorPage({ title: "Error", message: HOSTILE.repeat(4), requestId: "i".repeat(36) }),
  "a policy": () =>
    policyPage({
      name: NAME,
      shown: { version: 1e9, digest: DIGEST, by: NAME, at: AT, inForce: true },
      last: 1e9,
      text: '"'.repeat(3_000),
      repositories: times(64, HOSTILE),
      versions: times(12, { version: 1e9, digest: DIGEST, by: NAME, at: AT }),
      matching: { names: times(12, REPOSITORY), next: REPOSITORY },
      done: "saved",
      hindrance: undefined,
      viewer: VIEWER,
    }),
  "a policy that is too long": () =>
    policyPage({
      name: NAME,
      shown: { version: 1e9, digest: DIGEST, by: NAME, at: AT, inForce: true },
      last: 1e9,
      text: '"'.repeat(262_144),
      repositories: times(64, HOSTILE),
      versions: times(12, { version: 1e9, digest: DIGEST, by: NAME, at: AT }),
      matching: { names: times(12, REPOSITORY), next: REPOSITORY },
      done: "saved",
      hindrance: undefined,
      viewer: VIEWER,
    }),
  "a difference": () =>
    differencePage(
      {
        name: NAME,
        before: { version: 1e9 },
        after: { version: 1e9 },
        effect: "unknown",
        changes: times(500, { path: HOSTILE, effect: "unknown", message: HOSTILE } as const),
      },
      0,
    ),
  "a key that was made": () => madeKeyPage({ name: NAME, key: "k".repeat(64), id: "i".repeat(36), expiresAt: AT, follows: "i".repeat(36) }),
};

const HEAD: ArtifactHead = {
  ...ARTIFACT,
  tags: times(100, "t".repeat(128)),
  promotedTags: times(100, "t".repeat(128)),
  type: HOSTILE.slice(0, 255),
  size: 1e15,
  pushedBy: NAME,
  pushedAt: AT,
  changedBy: NAME,
  changedAt: AT,
  reason: HOSTILE,
  revocation: { isPermanent: true, isEverywhere: true, reason: HOSTILE },
  subject: DIGEST,
  host: "h".repeat(255),
};
const ROOM = roomBeside(artifactTop(HEAD, "trust", "outdated"));
const CHOSEN = times(10, "t".repeat(128));
const MANIFEST = { artifact: ARTIFACT, from: 0, total: 1e6, room: ROOM };
const FILE = { path: HOSTILE, digest: DIGEST, size: 1e15 };
const VALUES = { shown: times(15, { name: HOSTILE, from: HOSTILE, to: HOSTILE }), total: 1e6 };

const TABS: Readonly<Record<string, readonly [TabName, () => Html]>> = {
  trust: [
    "trust",
    () =>
      trustTab({
        artifact: ARTIFACT,
        isOfNow: true,
        decision: {
          allowed: false,
          policy: times(64, "p".repeat(70)).join(" "),
          digest: DIGEST,
          checks: times(20, { id: "i".repeat(130), status: "fail", message: HOSTILE, inputs: times(20, DIGEST) } as const),
          covers: times(1_000, DIGEST),
          tags: { moves: CHOSEN, stays: times(100, "t".repeat(128)) },
          policies: times(64, {
            name: NAME,
            version: 1e9,
            mode: "warn",
            requirements: times(64, {
              name: NAME,
              kind: "attestation",
              met: false,
              message: HOSTILE,
              accepted: times(64, { authority: NAME, manifest: DIGEST, signed_at: AT }),
              rejected: times(32, { manifest: DIGEST, message: HOSTILE }),
              rejected_more: 1e9,
            }),
          }),
        },
        approvals: times(64, { by: NAME, at: AT, reason: HOSTILE, expires_at: AT }),
        choice: {
          tags: CHOSEN,
          covers: times(10, DIGEST),
          coverable: times(50, { digest: `sha256:${"e".repeat(64)}`, type: HOSTILE }),
          fault: HOSTILE,
        },
        host: HEAD.host,
        hindrances: {
          quarantine: undefined,
          approve: undefined,
          withdraw: undefined,
          promote: undefined,
          revoke: undefined,
          delete: undefined,
        },
        ground: "g".repeat(43),
        viewer: VIEWER,
        room: ROOM,
      }),
  ],
  changes: [
    "changes",
    () =>
      changesTab({
        artifact: ARTIFACT,
        base: ARTIFACT,
        tag: "t".repeat(128),
        files: {
          shown: times(15, { path: HOSTILE, change: "renamed", from: FILE, to: FILE, isComparable: true } as const),
          total: 1e6,
          from: 0,
          alike: 1e6,
          counts: { added: 1e6, removed: 1e6, changed: 1e6, renamed: 1e6 },
          fromBytes: 1,
          toBytes: 1e15,
        },
        annotations: VALUES,
        inside: { path: HOSTILE, tensors: VALUES, metadata: VALUES, isComplete: false },
        signers: { gained: times(20, HOSTILE), lost: times(20, HOSTILE), same: times(20, HOSTILE) },
        room: ROOM,
      }),
  ],
  provenance: [
    "provenance",
    () =>
      provenanceTab({
        nodes: times(100, {
          stage: "related",
          title: HOSTILE,
          detail: HOSTILE,
          standing: "claimed",
          by: HOSTILE,
          link: ARTIFACT,
        } as const),
        isCut: true,
        room: ROOM,
      }),
  ],
  timeline: [
    "timeline",
    () =>
      timelineTab(
        ARTIFACT,
        {
          newest: times(100, { sequence: 1e9, state: "quarantined", at: AT, actor: NAME, reason: HOSTILE, manifest: DIGEST } as const),
          total: 1_000,
        },
        ROOM,
      ),
  ],
  contents: [
    "contents",
    () =>
      contentsTab({
        ...MANIFEST,
        entries: times(60, {
          role: "manifest",
          digest: DIGEST,
          mediaType: HOSTILE,
          size: 1e15,
          title: HOSTILE,
          hasInside: true,
          state: "quarantined",
        } as const),
        annotations: times(20, [HOSTILE, HOSTILE] as const),
        moreAnnotations: 1e6,
      }),
  ],
  "the inside of a file": [
    "contents",
    () =>
      insideTab({
        artifact: ARTIFACT,
        digest: DIGEST,
        title: HOSTILE,
        member: 499,
        path: HOSTILE,
        inside: {
          format: "gguf",
          architecture: HOSTILE,
          quantization: "Q4_K",
          parameters: 1e15,
          tensorCount: 1e6,
          suspicions: times(20, HOSTILE),
          metadata: times(500, { key: HOSTILE, type: "string", value: HOSTILE, hash: "f".repeat(64) }),
          metadataCount: 1e6,
          tensors: times(10_000, { name: HOSTILE, type: "Q4_K", shape: times(8, 1e15) }),
        },
        filesFrom: 0,
        metadataFrom: 25,
        tensorsFrom: 40,
        room: ROOM,
      }),
  ],
  "the inside of an archive": [
    "contents",
    () =>
      insideTab({
        artifact: ARTIFACT,
        digest: DIGEST,
        title: HOSTILE,
        member: undefined,
        inside: { files: times(500, { path: HOSTILE, size: 1e15, isModelFile: true }), isWhole: false },
        filesFrom: 50,
        metadataFrom: 0,
        tensorsFrom: 0,
        room: ROOM,
      }),
  ],
  card: ["card", () => cardTab({ kind: "card", text: HOSTILE.repeat(64), from: HOSTILE, isCut: true, command: "c".repeat(600) }, ROOM)],
  referrers: [
    "referrers",
    () =>
      referrersTab(
        ARTIFACT,
        times(15, { digest: DIGEST, type: HOSTILE.slice(0, 255), size: 1e15, says: HOSTILE, standing: "attached later" } as const),
        "n".repeat(300),
      ),
  ],
  access: [
    "access",
    () =>
      accessTab({
        name: NAME,
        repository: REPOSITORY,
        permissions: times(20, "administer:elevation"),
        roles: times(256, { role: "maintainer", namespace: NAME, applies: false }),
      }),
  ],
  raw: ["raw", () => rawTab({ mediaType: HOSTILE, text: '"'.repeat(4_194_304), size: 4_194_304, command: "c".repeat(600), room: ROOM })],
};

/** The bytes of a whole page with this content, in a frame of the longest. */
function bytesOfPage(content: Html): number {
  const live = { about: `${REPOSITORY}@${DIGEST}`, since: "s".repeat(70) };
  const nonce = "n".repeat(24);
  const frame = { title: `${REPOSITORY} · provenance`, viewer: VIEWER, isInsecure: true, section: "/ui/review", live, nonce } as const;
  return Buffer.byteLength(framed(frame, content).toString());
}

test.each(Object.entries({ ...PAGES, ...MORE }))("%s stays within the bound of a page at its worst", (_, page) => {
  expect(bytesOfPage(page())).toBeLessThan(BOUND);
});

test.each(Object.entries(TABS))(
  "%s of an artifact stays within the bound of a page at its worst, and says that there is more",
  (_, [tab, content]) => {
    const page = artifactPage(artifactTop(HEAD, tab, "outdated"), content());
    expect(bytesOfPage(page)).toBeLessThan(BOUND);
    expect(page.toString()).toMatch(/more|beginning|Earlier|Next/);
  },
);

test("fifty transitions of ordinary length have room on one page", () => {
  const room = roomBeside(html`<p>A head of ordinary length</p>`);
  const newest = times(50, { sequence: 1, state: STATES[0], at: AT, actor: "ann", reason: "scanned and reviewed", manifest: DIGEST });
  expect(timelineTab({ repository: "models/m", digest: DIGEST }, { newest, total: 50 }, room).toString()).not.toContain("Earlier");
});

test("no more than a hundred transitions are looked at for a page, and those that are left are counted", () => {
  const transitions = times(10_000, { state: STATES[0], at: AT, actor: "ann", reason: null, manifest: null });
  const newest = transitions.map((each, at) => ({ ...each, sequence: 10_000 - at }));
  const text = timelineTab({ repository: "models/m", digest: DIGEST }, { newest, total: 10_000 }, 10_000_000).toString();
  expect(text.match(/<tr role="row">/g)).toHaveLength(101);
  expect(text).toMatch(/before=9901">Earlier ones<\/a>: 9900/);
});
