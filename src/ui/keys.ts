import { type Html, html } from "./html.ts";

/** Which keys a page knows, and the way to turn them off (WCAG 2.1.4); shown where scripts run, since nothing else knows keys. */
export function keysHint(keys: string): Html {
  return html`<p class="keys">
    <label class="beside" for="keys"><input id="keys" type="checkbox" checked autocomplete="off" /> Keys: ${keys}</label>
  </p>`;
}
