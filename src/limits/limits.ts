import type { Charged, Grant } from "./buckets.ts";
import type { Limited } from "./classes.ts";
import type { Counted } from "./connections.ts";
import type { Work } from "./turns.ts";
import type { Admission, UploadClaim } from "./uploads.ts";

/** Whoever keeps the limits: this process, or one that several processes ask. */
export interface Limits {
  /** Takes at most `want` units, at least one or none. */
  take(limited: Limited, charged: Charged, want: number): Grant | Promise<Grant>;
  /** May a new upload begin? It counts from then on until it is ended. */
  admit(claim: UploadClaim): Admission | Promise<Admission>;
  /** A request is about to write to an upload. Only the room of its namespace can be wanting; without a quota of it nobody is waited for. */
  arrive(claim: UploadClaim): Admission | Promise<Admission>;
  /** That request has ended. */
  pause(upload: string): void;
  /** The upload is a blob, or gone. */
  end(upload: string): void;
  /** May work begin of which there is only so much at a time? */
  begin(work: Work): boolean | Promise<boolean>;
  done(work: Work): void;
  /** May a process have one connection more than its own? Until it says that it has one less. Undefined when nobody answers. */
  connect(counted: Counted): boolean | Promise<boolean | undefined>;
  disconnect(counted: Counted): void;
}
