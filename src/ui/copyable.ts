import { type Html, html } from "./html.ts";

/** A text that is taken whole: a click selects all of it, and where our script runs a button copies it. `what` names it to who hears the page. */
export function copyable(text: string, what: string): Html {
  return html`<span class="copyable"><code class="whole">${text}</code>${copyButton(what)}</span>`;
}

/** The same of a command, in a line of its own. */
export function copyableCommand(command: string, what: string): Html {
  return html`<div class="copyable">
    <pre class="whole">${command}</pre>
    ${copyButton(what)}
  </div>`;
}

/** It keeps its room before the script runs, so that nothing moves when it shows. */
function copyButton(what: string): Html {
  return html`<button type="button" class="copy" aria-label="Copy ${what}">Copy</button>`;
}
