import { type Html, html } from "./html.ts";
import type { ArtifactName } from "./links.ts";

/** What somebody does so that a requirement of a policy is met; undefined for a kind that says so itself. */
export function remedyOf(kind: string, { repository, digest }: ArtifactName, host: string): Html | undefined {
  const name = `${host}/${repository}@${digest}`;
  switch (kind) {
    case "signature":
      return html`One of its authorities signs it, such as by <code>cosign sign ${name}</code>, and attaches that here.`;
    case "attestation":
      return html`One of its authorities attests it, such as by <code>cosign attest --predicate FILE --type TYPE ${name}</code>.`;
    case "oms":
      return html`One of its authorities signs the model's files by <code>model_signing sign</code>, and attaches the bundle by
        <code>oras attach ${name}</code>.`;
    case "scan-results":
      return html`Who has the results promotes it by <code>securectl promote</code>, with them.`;
    case "approvals":
      return html`A reviewer who did not push it approves it below.`;
    default:
      return undefined;
  }
}
