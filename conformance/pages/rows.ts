import type { Scene } from "./scene.ts";
import { pageOf } from "./world.ts";

/** A page in a state that is looked at in every way. */
export interface Row {
  readonly name: string;
  readonly path: (scene: Scene) => string;
  /** Who looks; `nobody` is not signed in. */
  readonly as: string;
  /** What the page must say. */
  readonly says: string | RegExp;
  readonly status?: number;
  /** The file below docs/pages that `--pictures` writes of it. */
  readonly picture?: string;
}

const TABS = ["changes", "provenance", "card", "timeline", "contents", "referrers", "access", "raw"] as const;

/** Every page in every state. A new page is a new row. */
export const ROWS: readonly Row[] = [
  { name: "sign in", path: () => "/ui/sign-in", as: "nobody", says: "API key" },
  { name: "sign in for a page", path: () => "/ui/sign-in?next=/ui/review", as: "nobody", says: "go on" },
  { name: "start", path: () => "/ui/", as: "operator", says: "Artifacts by state", picture: "start" },
  { name: "start of a reader", path: () => "/ui/", as: "runtime", says: "Artifacts by state" },
  { name: "review queue", path: () => "/ui/review", as: "ann", says: "models/waiting", picture: "review" },
  { name: "empty review queue", path: () => "/ui/review", as: "runtime", says: "Nothing waits" },
  { name: "explore", path: () => "/ui/explore", as: "ann", says: "models/trusted", picture: "explore" },
  { name: "explore by state", path: () => "/ui/explore?state=revoked", as: "ann", says: "models/revoked" },
  { name: "explore finds nothing", path: () => "/ui/explore?name=no-such-thing", as: "ann", says: "Nothing that you may see fits" },
  { name: "explore is asked for nonsense", path: () => "/ui/explore?digest=zzz", as: "ann", status: 400, says: /digest/ },
  { name: "artifact that waits", path: ({ waiting }) => pageOf(waiting), as: "ann", says: "Refused", picture: "artifact-refused" },
  { name: "artifact in quarantine", path: ({ held }) => pageOf(held), as: "ann", says: "its card names no licence" },
  {
    name: "artifact that is trusted",
    path: ({ trusted }) => pageOf(trusted),
    as: "operator",
    says: "Allowed",
  },
  { name: "artifact that is trusted, to a runtime", path: ({ trusted }) => pageOf(trusted), as: "runtime", says: "served to runtimes" },
  {
    name: "artifact that was revoked",
    path: ({ revoked }) => pageOf(revoked),
    as: "operator",
    says: "withdrawn",
    picture: "artifact-revoked",
  },
  { name: "artifact that was deleted", path: ({ deleted }) => pageOf(deleted), as: "operator", says: "pushed by mistake" },
  { name: "artifact of an auditor", path: ({ trusted }) => pageOf(trusted), as: "aud", says: "Approvals" },
  { name: "index", path: ({ index }) => pageOf(index, "/contents"), as: "ann", says: "acquired" },
  ...TABS.map((tab): Row => ({
    name: `${tab} of an artifact`,
    path: ({ trusted }) => pageOf(trusted, `/${tab}`),
    as: "operator",
    says: tab === "contents" ? "weights.safetensors" : /./,
    ...(tab === "provenance" && { picture: "artifact-provenance" }),
  })),
  ...["trust", ...TABS].map((tab): Row => ({
    name: `${tab} of a hostile artifact`,
    path: ({ hostile }) => pageOf(hostile, `/${tab}`),
    as: "ann",
    says: /./,
  })),
  { name: "contents of ten thousand files", path: ({ manyFiles }) => pageOf(manyFiles, "/contents"), as: "ann", says: /of 10001/ },
  { name: "trust of ten thousand files", path: ({ manyFiles }) => pageOf(manyFiles), as: "ann", says: "What you can do" },
  { name: "no such artifact", path: ({ waiting }) => pageOf(waiting), as: "runtime", status: 404, says: "no such artifact" },
  { name: "no such page", path: () => "/ui/no-such-page", as: "ann", status: 404, says: "Go to the start page" },
  { name: "audit", path: () => "/ui/audit", as: "aud", says: "artifact.promote", picture: "audit" },
  { name: "audit of a hostile artifact", path: () => "/ui/audit?artifact=models/hostile", as: "operator", says: "U+202E" },
  { name: "audit finds nothing", path: () => "/ui/audit?type=nothing", as: "operator", says: /fits/ },
  { name: "audit, to who may not", path: () => "/ui/audit", as: "ann", status: 403, says: "for who holds the permission audit" },
  { name: "policies", path: () => "/ui/policies", as: "operator", says: "models-waiting", picture: "policies" },
  { name: "policies, to a reviewer", path: () => "/ui/policies", as: "ann", says: /./, status: 200 },
  { name: "a policy", path: () => "/ui/policies/models-waiting", as: "operator", says: "version 1" },
  { name: "trust roots", path: () => "/ui/trust", as: "operator", says: "Trust roots" },
  { name: "identities", path: () => "/ui/identities", as: "operator", says: "ann" },
  { name: "identities of a reader", path: () => "/ui/identities", as: "runtime", says: "you are neither" },
  { name: "proof of the audit", path: () => "/ui/audit/verify", as: "aud", says: "are whole" },
  { name: "an identity", path: () => "/ui/identities/ann", as: "operator", says: "reviewer" },
  { name: "operations", path: () => "/ui/operations", as: "operator", says: "Operations", picture: "operations" },
  { name: "sessions", path: () => "/ui/sessions", as: "operator", says: "Sign out everywhere" },
];

/** What every role looks at: none may break on any of them, whatever it may see there. */
export const EVERYBODYS: readonly ((scene: Scene) => string)[] = [
  () => "/ui/",
  () => "/ui/review",
  () => "/ui/explore",
  ({ trusted }) => pageOf(trusted),
  ({ waiting }) => pageOf(waiting),
  ({ revoked }) => pageOf(revoked),
  () => "/ui/audit",
  () => "/ui/sessions",
];
