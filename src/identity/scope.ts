import { type RepositoryName, isRepositoryName } from "../oci/reference.ts";
import type { Rights } from "./permission.ts";
import type { TokenAccess } from "./principal.ts";

type ScopeAction = TokenAccess["actions"][number];

/** identity.md 2.3.4. A longer list is refused, so that a token stays small. */
export const MAX_SCOPES = 32;
/** Room for a type, a name of 255 characters and every action. */
const MAX_SCOPE_LENGTH = 320;
/** The class in brackets is an old Docker form; it says nothing here. */
const REPOSITORY_SCOPE = /^repository(?:\([a-z0-9]+\))?:([^:]+):([a-z*,]*)$/;
const ACTIONS: readonly ScopeAction[] = ["pull", "push", "delete", "*"];

const CATALOG_ACCESS: TokenAccess = { type: "registry", name: "catalog", actions: ["*"] };

/** The scope of the catalog. */
export const CATALOG_SCOPE = "registry:catalog:*";

/**
 * The scopes of a token request: `scope` parameters, each one scope or several between spaces; those of one repository are joined.
 * What this registry does not know is left out, since Docker's token protocol answers an unallowed scope by granting less.
 * Undefined when there are more than `MAX_SCOPES`.
 */
export function parseScopes(values: readonly string[]): readonly TokenAccess[] | undefined {
  const texts = values.flatMap((value) => value.split(" ")).filter((text) => text !== "");
  if (texts.length > MAX_SCOPES) return undefined;
  const joined = new Map<string, TokenAccess>();
  for (const asked of texts.map(parseScope).filter((each) => each !== undefined)) {
    const key = `${asked.type}:${asked.name}`;
    const actions = new Set([...(joined.get(key)?.actions ?? []), ...asked.actions]);
    joined.set(key, { ...asked, actions: ACTIONS.filter((action) => actions.has(action)) });
  }
  return [...joined.values()];
}

function parseScope(text: string): TokenAccess | undefined {
  if (text === CATALOG_SCOPE) return CATALOG_ACCESS;
  if (text.length > MAX_SCOPE_LENGTH) return undefined;
  const [, name = "", listed = ""] = REPOSITORY_SCOPE.exec(text) ?? [];
  if (!isRepositoryName(name)) return undefined;
  const wanted = new Set(listed.split(","));
  return { type: "repository", name, actions: ACTIONS.filter((action) => wanted.has(action)) };
}

/** What of the scopes asked for the live rights allow: `*` becomes what there is, and nothing ever becomes more than was asked. */
export function grantScopes(asked: readonly TokenAccess[], rightsOn: (repository: RepositoryName) => Rights): readonly TokenAccess[] {
  const granted = asked.map((each): TokenAccess => {
    if (!isRepositoryName(each.name) || each.type !== "repository") return each;
    const rights = rightsOn(each.name);
    const all = each.actions.includes("*");
    const actions = SCOPED.filter((action) => (all || each.actions.includes(action)) && allows(rights, action));
    return { ...each, actions };
  });
  return granted.filter(({ actions }) => actions.length > 0);
}

const SCOPED = ["pull", "push", "delete"] as const;

/** Do these rights allow an action of a scope, in its plain or its wider form? */
export function allows(rights: Rights, action: "pull" | "push" | "delete"): boolean {
  if (action === "pull") return rights.has("pull") || rights.has("pull:any");
  return action === "push" ? rights.has("push") : rights.has("delete") || rights.has("delete:any");
}

/** Scopes as OAuth writes a list of them (RFC 6749 §3.3). */
export function formatScopes(access: readonly TokenAccess[]): string {
  return access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(",")}`).join(" ");
}

/** The scope that a challenge names for an action on a repository; a push also looks at what is there. */
export function scopeFor(action: "pull" | "push" | "delete", repository: RepositoryName): string {
  return `repository:${repository}:${action === "push" ? "pull,push" : action}`;
}
