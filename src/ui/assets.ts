import { createHash } from "node:crypto";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** A file that pages refer to. Its name holds its hash, so that it may be kept for ever and is another one when it changes. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: string;
}

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0550ae"/>' +
  '<path d="M4 8.5l2.6 2.6L12 5.4" fill="none" stroke="#fff" stroke-width="2"/></svg>';

const HASH_LENGTH = 16;

function assetOf(name: string, type: string, body: string): Asset {
  const hash = createHash("sha256").update(body).digest("hex").slice(0, HASH_LENGTH);
  return { path: `/ui/assets/${hash}-${name}`, type, body };
}

/** The style sheet of all pages. */
export const styleSheet = assetOf("style.css", "text/css; charset=utf-8", STYLE);

/** The script of pages that follow what they show. */
export const script = assetOf("live.js", "text/javascript; charset=utf-8", SCRIPT);

/** What a page demands the script to be, as Subresource Integrity has it. */
export const SCRIPT_INTEGRITY = `sha384-${createHash("sha384").update(SCRIPT).digest("base64")}`;

/** What a browser shows beside a page's title. */
export const icon = assetOf("icon.svg", "image/svg+xml", ICON);

/** All that is served beside pages. */
export const assets: readonly Asset[] = [styleSheet, script, icon];
