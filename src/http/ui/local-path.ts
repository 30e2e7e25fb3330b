const START = "/ui/";
const MAX_PATH = 2048;
const BASE = "http://registry.invalid";

/**
 * Where to go on after signing in: a page of ours, by its path. Everything else, such as the address of another server in whatever
 * spelling browsers understand, is the start page.
 */
export function localPath(asked: string | null | undefined): string {
  if (asked === null || asked === undefined || asked.length > MAX_PATH || !/^\/ui\/[!-~]*$/.test(asked) || asked.includes("\\"))
    return START;
  const url = URL.parse(asked, BASE);
  if (url === null || url.origin !== BASE || !url.pathname.startsWith(START)) return START;
  const path = url.pathname + url.search;
  return path.startsWith("/ui/sign-in") ? START : path;
}

/** The page to sign in on, which comes back to where somebody wanted to go. */
export function signInPath({ pathname, search }: Pick<URL, "pathname" | "search">): string {
  const next = localPath(pathname + search);
  return next === START ? "/ui/sign-in" : `/ui/sign-in?next=${encodeURIComponent(next)}`;
}
