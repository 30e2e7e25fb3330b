import { readFile } from "node:fs/promises";
import { FormatError } from "../../src/formats/format-error.ts";
import { memorySource } from "../../src/formats/byte-source.ts";
import { factsOf, readModelFile } from "../../src/formats/model-facts.ts";
import type { Inspector } from "../../src/scan/inspector.ts";

/** The same services with headers read in this process. */
export function inspectingHere<T extends { readonly inspector: Inspector }>(services: T): T {
  return { ...services, inspector: inspectorHere(services.inspector) };
}

/** Reads headers in this process: for tests with many small files, since to start a process for each takes longer than all else. */
export function inspectorHere(inspector: Inspector): Inspector {
  return {
    facts: async (path, name) => {
      try {
        return factsOf(readModelFile(memorySource(await readFile(path)), name));
      } catch (error) {
        if (error instanceof FormatError) return { unreadable: error.message };
        throw error;
      }
    },
    details: (...args) => inspector.details(...args),
    files: (...args) => inspector.files(...args),
    card: (...args) => inspector.card(...args),
    generate: (...args) => inspector.generate(...args),
    verify: (...args) => inspector.verify(...args),
    diff: (...args) => inspector.diff(...args),
  };
}
