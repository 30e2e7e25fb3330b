import { type Html, html } from "./html.ts";
import { readable } from "./text.ts";

/** How the last try went, if there was one. */
export interface SignInPage {
  /** Where to go on afterwards: a path of ours. */
  readonly next: string;
  /** As it was typed. */
  readonly name: string;
  /** Why the last try failed, and what to do. */
  readonly refused: string | undefined;
}

/** The page to sign in on. Sign-in by an identity provider will be another form beside this one. */
export function signInPage({ next, name, refused }: SignInPage): Html {
  return html`<h1>Sign in</h1>
    ${refused !== undefined && html`<p class="notice bad" role="alert">${refused}</p>`}
    <form method="post" action="/ui/sign-in">
      <input type="hidden" name="next" value="${next}" />
      <label for="name">Name of the identity</label>
      <input
        id="name"
        name="name"
        value="${readable(name)}"
        autocomplete="username"
        required
        maxlength="64"
        autocapitalize="none"
        spellcheck="false"
      />
      <label for="key">API key</label>
      <input id="key" name="key" type="password" autocomplete="current-password" required maxlength="64" aria-describedby="key-hint" />
      <p class="hint" id="key-hint">
        It begins with <code>amr_</code>. An operator makes one with
        <code>securectl key create NAME --role ROLE --namespace NAMESPACE</code>; those of the first start are in the data directory, under
        <code>credentials/</code>.
      </p>
      <p><button>Sign in</button></p>
    </form>
    ${next !== "/ui/" && html`<p class="soft">If you came here by a link from elsewhere and are signed in already, <a href="${next}">go on</a>.</p>`}`;
}
