import type { MetadataStore } from "../storage/metadata-store.ts";

/** Who waits in this process for a job to be asked for, by store and job. */
const LISTENERS = new WeakMap<MetadataStore, Map<string, Set<() => void>>>();

/** Calls a listener whenever a job is asked for in this process, until the function that it returns is called. */
export function onJobAsked(metadata: MetadataStore, job: string, listener: () => void): () => void {
  const jobs = LISTENERS.get(metadata) ?? new Map<string, Set<() => void>>();
  const listeners = (jobs.get(job) ?? new Set()).add(listener);
  LISTENERS.set(metadata, jobs.set(job, listeners));
  return () => void listeners.delete(listener);
}

/** Has a job begin before it is due. Where it runs in no worker of this process, or is under way, it goes by its time. */
export function askForJob(metadata: MetadataStore, job: string): void {
  for (const listener of LISTENERS.get(metadata)?.get(job) ?? []) listener();
}
