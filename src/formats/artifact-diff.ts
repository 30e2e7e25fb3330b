/** A file of an artifact, or what stands in for one. */
export interface ComparedFile {
  /** Empty where it has no name: then its digest is one. */
  readonly path: string;
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

/** What became of a file; `from` and `to` are both there when it was changed, or only got another name. */
export interface FileChange {
  readonly path: string;
  readonly change: "added" | "removed" | "changed" | "renamed";
  readonly from: ComparedFile | undefined;
  readonly to: ComparedFile | undefined;
}

/** The files of two artifacts, compared; `changes` are all of them, by path. */
export interface FilesDiff {
  readonly changes: readonly FileChange[];
  readonly alike: number;
  /** Bytes of all files. */
  readonly fromBytes: number;
  readonly toBytes: number;
}

/** Compares files by their paths. The same bytes under another path are a new name. Takes time in proportion to the files. */
export function diffFiles(from: readonly ComparedFile[], to: readonly ComparedFile[]): FilesDiff {
  const [before, after] = [byKey(from), byKey(to)];
  const changes: FileChange[] = [];
  let alike = 0;
  const gone: ComparedFile[] = [];
  for (const [key, old] of before) {
    const now = after.get(key);
    if (now === undefined) gone.push(old);
    else if (now.digest === old.digest) alike += 1;
    else changes.push({ path: now.path, change: "changed", from: old, to: now });
  }
  const goneByDigest = Map.groupBy(gone, ({ digest }) => digest);
  for (const [key, now] of after) {
    if (before.has(key)) continue;
    const old = goneByDigest.get(now.digest)?.shift();
    changes.push({ path: now.path, change: old === undefined ? "added" : "renamed", from: old, to: now });
  }
  for (const left of goneByDigest.values()) {
    changes.push(...left.map((old) => ({ path: old.path, change: "removed" as const, from: old, to: undefined })));
  }
  return { changes: changes.toSorted((a, b) => compare(a.path, b.path)), alike, fromBytes: bytesOf(from), toBytes: bytesOf(to) };
}

/** Of files with one path, the second is told from the first by its place: nothing is left out. */
function byKey(files: readonly ComparedFile[]): Map<string, ComparedFile> {
  const keyed = new Map<string, ComparedFile>();
  const counts = new Map<string, number>();
  for (const file of files) {
    const name = file.path === "" ? `\0${file.digest}` : file.path;
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    keyed.set(`${count}/${name}`, file);
  }
  return keyed;
}

function bytesOf(files: readonly ComparedFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Something with a name of its own, and what is to be the same of it. */
export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

/** What became of something; undefined where it is not there. */
export interface ValueChange {
  readonly name: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** Compares values by their names, as tensors and metadata have them; of a name that comes twice the last counts. In the order of names. */
export function diffValues(from: readonly NamedValue[], to: readonly NamedValue[]): readonly ValueChange[] {
  const [before, after] = [valuesOf(from), valuesOf(to)];
  const names = [...new Set([...before.keys(), ...after.keys()])].toSorted(compare);
  return names.flatMap((name) => {
    const change = { name, from: before.get(name), to: after.get(name) };
    return change.from === change.to ? [] : [change];
  });
}

function valuesOf(values: readonly NamedValue[]): ReadonlyMap<string, string> {
  return new Map(values.map(({ name, value }) => [name, value]));
}
