import type { Role } from "../../src/identity/principal.ts";
import { Browser } from "./browser.ts";
import { PolicyRegistry } from "./policy-registry.ts";
import type { WholeRegistry } from "./whole-registry.ts";

/** A registry of whose pages two identities of its first start have one open. */
interface Viewed {
  readonly world: PolicyRegistry;
  readonly operator: Browser;
  readonly runtime: Browser;
}

/** Starts one over real stores. */
export async function startViewed(options?: Parameters<typeof PolicyRegistry.start>[0]): Promise<Viewed> {
  const world = await PolicyRegistry.start(options);
  const { registry } = world;
  const view = (name: "operator" | "runtime"): Promise<Browser> => Browser.signedIn(registry, name, registry.credentials[name]);
  return { world, operator: await view("operator"), runtime: await view("runtime") };
}

/** Somebody new who looks at its pages, and has one role in one namespace. */
export async function newViewer(registry: WholeRegistry, name: string, role: Role, namespace: string): Promise<Browser> {
  const { secret } = await registry.identity(name, [{ role, namespace }]);
  const browser = Browser.at(registry);
  await browser.signIn(name, secret);
  return browser;
}
