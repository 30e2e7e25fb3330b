import { type Html, html } from "./html.ts";
import { foreign } from "./text.ts";

/** In place of a form that the viewer may not send: what it would do, and why not. `id` is unique on its page. */
export function hindered({ id, title, why }: { readonly id: string; readonly title: string; readonly why: string }): Html {
  return html`<div class="act">
    <h3>${title}</h3>
    <button type="button" disabled aria-describedby="why-${id}">${title}</button>
    <p class="hint" id="why-${id}">Not now: ${foreign(why, 700)}.</p>
  </div>`;
}
