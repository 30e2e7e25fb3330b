import { readFile, stat } from "node:fs/promises";
import type { Server } from "node:https";
import { createSecureContext } from "node:tls";
import type { Logger } from "../log.ts";
import type { Meter } from "../metrics/metric-set.ts";

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate chain and its key that belong together. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** What the files looked like before they were read. */
  readonly seen: string;
}

/** Reads a pair; throws when a file is not to be had or the two do not belong together. */
export async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const seen = await fingerprint(files);
  const pair = { cert: await readFile(files.cert), key: await readFile(files.key) };
  createSecureContext(pair);
  return { ...pair, seen };
}

/**
 * Looks at the files now and then, and gives a changed pair to the server: new connections get it, those that are open stay.
 * A bad pair, or half of one that is being replaced, changes nothing, is logged and counted. Polled, since a watch on a file is lost when it is
 * replaced by a rename or through a symbolic link, as renewals do. Returns how to stop.
 */
export function followCertificate(
  server: Pick<Server, "setSecureContext">,
  files: CertificateFiles,
  {
    seen: first,
    log,
    metrics,
    interval = 5000,
  }: { readonly seen: string; readonly log: Logger; readonly metrics: Meter; readonly interval?: number },
): () => void {
  let seen = first;
  let looking = false;
  const look = async (): Promise<void> => {
    const now = await fingerprint(files);
    if (now === seen) return;
    seen = now;
    try {
      const { cert, key } = await readCertificate(files);
      server.setSecureContext({ cert, key, minVersion: "TLSv1.2" });
      log.info("TLS certificate reloaded");
    } catch (error) {
      metrics.add("registry_config_reload_failures_total");
      log.error({ err: error }, "changed TLS certificate is unusable; the one before stays in use");
    }
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look().finally(() => {
      looking = false;
    });
  }, interval);
  timer.unref();
  return () => clearInterval(timer);
}

/** Changes whenever a file does. */
async function fingerprint({ cert, key }: CertificateFiles): Promise<string> {
  const parts = await Promise.all(
    [cert, key].map(async (file) => {
      try {
        const { mtimeMs, ino, size } = await stat(file);
        return `${ino} ${size} ${mtimeMs}`;
      } catch {
        return "absent";
      }
    }),
  );
  return parts.join("|");
}
