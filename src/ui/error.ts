import { type Html, html } from "./html.ts";
import { readable } from "./text.ts";

/** What went wrong. */
export interface Failure {
  readonly title: string;
  /** What happened and what to do about it. */
  readonly message: string;
  /** By which an operator finds a fault of ours in the log; undefined for all else, where no two answers differ by it. */
  readonly requestId: string | undefined;
}

const MAX_MESSAGE = 2000;

/** The page of an error. */
export function errorPage({ title, message, requestId }: Failure): Html {
  return html`<h1>${title}</h1>
    <p class="notice bad" role="alert"><bdi>${readable(message, MAX_MESSAGE)}</bdi></p>
    <p><a href="/ui/">Go to the start page</a>, where you sign in if you have not.</p>
    ${requestId !== undefined && html`<p class="soft">Request <code>${requestId}</code></p>`}`;
}
