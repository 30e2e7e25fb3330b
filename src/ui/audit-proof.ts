import { type Html, html } from "./html.ts";
import { foreign, grouped } from "./text.ts";

/** What a look at a part of the chain of the audit came to. */
export interface ShownProof {
  /** The sequence after which it began. */
  readonly after: number;
  /** The last link that holds; null where none does. */
  readonly last: { readonly sequence: number; readonly hash: string } | null;
  /** The first that does not hold, and why. */
  readonly broken: { readonly sequence: number; readonly reason: string } | undefined;
  /** Where to go on; undefined at the end. */
  readonly next: number | undefined;
}

/** The page of a proof: each link holds the hash of the one before it, so that none can be changed or left out. */
export function proofPage(proof: ShownProof): Html {
  return html`<h1>Proof of the audit</h1>
    ${proof.broken === undefined ? heldText(proof) : brokenText(proof.broken)}
    <p><a href="/ui/audit">Back to what happened</a></p>`;
}

function heldText({ after, last, next }: ShownProof): Html {
  if (last === null) return html`<p class="notice">Nothing has happened yet, so there is nothing to prove.</p>`;
  const { sequence, hash } = last;
  return html`<p class="notice good" role="status">
      <span aria-hidden="true">✔</span> Events ${grouped(Math.min(after + 1, sequence))} to ${grouped(sequence)} are whole: none was changed
      or left out. ${next === undefined && "That is the last one."}
    </p>
    <p>The hash of event ${grouped(sequence)} is <code class="whole">${hash}</code>; who wrote it down elsewhere can compare.</p>
    ${next !== undefined && html`<p><a rel="next" href="/ui/audit/verify?after=${next}">Prove those that follow</a></p>`}`;
}

function brokenText({ sequence, reason }: NonNullable<ShownProof["broken"]>): Html {
  return html`<p class="notice bad" role="alert">
      <span aria-hidden="true">✘</span> The chain is broken at event ${grouped(sequence)}: ${foreign(reason, 300)}.
    </p>
    <p>
      Somebody changed the metadata, or the disk did. Keep the data directory as it is, and compare it to a backup by
      <code>ai-model-registry check-backup FOLDER</code>.
    </p>`;
}
