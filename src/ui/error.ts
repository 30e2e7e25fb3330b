import { type Html, html } from "./html.ts";
import { readable } from "./text.ts";

/** What went wrong. */
export interface Failure {
  readonly title: string;
  /** What happened and what to do about it. */
  readonly message: string;
  /** By which an operator finds it in the log and the audit. */
  readonly requestId: string;
  readonly isSignedIn: boolean;
}

const MAX_MESSAGE = 2000;

/** The page of an error. */
export function errorPage({ title, message, requestId, isSignedIn }: Failure): Html {
  const next = isSignedIn ? html`<a href="/ui/">Go to the start page</a>` : html`<a href="/ui/sign-in">Sign in</a>`;
  return html`<h1>${title}</h1>
    <p class="notice bad" role="alert"><bdi>${readable(message, MAX_MESSAGE)}</bdi></p>
    <p>${next}.</p>
    <p class="soft">Request <code>${requestId}</code></p>`;
}
