import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PACKINGS } from "../../src/oci/layer-file.ts";
import { InspectionError } from "../../src/scan/inspection.ts";
import { type Inspector, type InspectorOptions, createInspector } from "../../src/scan/inspector.ts";
import { sandboxFlags } from "../../src/scan/program.ts";
import { buildTar } from "../cli/build-tar.ts";
import { GOLDEN, buildGguf, f32, named, strings } from "../formats/build-gguf.ts";
import { buildSafetensors } from "../formats/build-safetensors.ts";
import { textFor } from "../formats/make-manifest.ts";
import { mutation } from "../formats/mutate.ts";

// Processes take their time on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const GIGABYTE = 1e9;
const MANIFEST = textFor(GOLDEN);
const FACTS = { format: "gguf", architecture: "llama", quantization: "Q8_0", parameters: 43, tensorCount: 3, suspicions: [] };

let folder: string;
let golden: string;
const inspector = createInspector();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-scan-"));
  golden = await file("golden.gguf", GOLDEN);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** A GGUF file of one tensor with so many bytes, of which none but the header takes room on the disk. */
async function sparse(name: string, bytes: number, metadata = named("llama")): Promise<string> {
  const head = buildGguf({ metadata, tensors: [{ name: "weights", type: 24, shape: [bytes], data: Buffer.alloc(0) }] });
  const path = await file(name, head);
  await truncate(path, head.length + bytes);
  return path;
}

/** Processes that this one has started to inspect files, by /proc. */
function inspections(): readonly number[] {
  const children = readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return children.filter((pid) => commandOf(pid).includes("inspection-process"));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

test("details are read from a header, and why there are none", async () => {
  const found = await inspector.details(golden, "golden.gguf");
  expect(found).toMatchObject({ facts: FACTS });
  expect(found).toHaveProperty("tensorsHash", expect.stringMatching(/^[0-9a-f]{64}$/));
  expect(found).toHaveProperty("tensors.length", 3);
  expect(await inspector.details(await file("none.txt", "nothing"), "none.txt")).toEqual({
    unreadable: "the file is neither GGUF nor safetensors",
  });
});

describe("an archive", () => {
  const weights = buildSafetensors('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', Buffer.from("abcd"));
  const members = [
    { name: "models/", type: "5" },
    { name: "models/deep/README.md", content: "# Deeper" },
    { name: "models/golden.gguf", content: Buffer.from(GOLDEN) },
    { name: "models/small.safetensors", content: Buffer.from(weights) },
    { name: "README.md", content: "# Card" },
  ];
  const tar = buildTar(members);
  const packed = { none: tar, gzip: gzipSync(tar), zstd: zstdCompressSync(tar) };

  test.each(PACKINGS)("packed as %s tells its files, the headers of those that are models, and its README", async (packing) => {
    const path = await file(`${packing}.tar`, packed[packing]);
    const found = await inspector.files(path, packing);
    if ("unreadable" in found) throw new Error(found.unreadable);
    expect(found.isWhole).toBe(true);
    expect(found.files.map((each) => each.path)).toEqual(members.slice(1).map(({ name }) => name));
    const [, gguf, safetensors] = found.files;
    if (gguf === undefined || safetensors === undefined) throw new Error("files are missing");
    expect(await inspector.details(path, gguf.path, { packing, ...gguf })).toMatchObject({ facts: FACTS });
    expect(await inspector.details(path, safetensors.path, { packing, ...safetensors })).toMatchObject({
      facts: { format: "safetensors", tensorCount: 1 },
    });
    expect(await inspector.card(path, packing)).toEqual({ path: "README.md", bytes: Buffer.from("# Card"), isCut: false });
  });

  test.each(["gzip", "zstd"] as const)("packed as %s that is none, or ends early, is unreadable", async (packing) => {
    const none = await file("none.tar", "no archive at all, of more than a few bytes");
    const cut = await file("cut.tar", packed[packing].subarray(0, -20));
    for (const path of [none, cut])
      expect(await inspector.files(path, packing)).toEqual({ unreadable: `the archive is not packed as ${packing}, or it is damaged` });
  });

  test("of hundreds of megabytes of nothing in a small file is unpacked to its bound and no further", async () => {
    const huge = buildTar(
      [
        { name: "first.txt", content: "x" },
        { name: "zeros.gguf", size: 8 ** 11 - 1 },
      ],
      Buffer.alloc(100 * 1024 * 1024),
    );
    const path = await file("huge.tar.gz", gzipSync(huge, { level: 1 }));
    const found = await inspector.files(path, "gzip");
    expect(found).toMatchObject({ isWhole: false, files: [{ path: "first.txt" }, { path: "zeros.gguf", size: 8 ** 11 - 1 }] });
    expect(await inspector.details(path, "a.safetensors", { packing: "gzip", at: 90 * 1024 * 1024, size: 100 })).toEqual({
      unreadable: "the file is packed, and too far from the beginning of its archive to be unpacked here",
    });
  }, 120_000);

  test("with a place that is not in it, a link, or no README is unreadable", async () => {
    const path = await file("plain.tar", tar);
    expect(await inspector.details(path, "a.gguf", { packing: "none", at: tar.length - 10, size: 11 })).toEqual({
      unreadable: "the file goes on beyond the end of its archive",
    });
    const link = await file("link.tar", buildTar([{ name: "a", type: "2" }]));
    expect(await inspector.files(link, "none")).toHaveProperty("unreadable", expect.stringContaining("links"));
    const bare = await file("bare.tar", buildTar([{ name: "a.txt", content: "x" }]));
    expect(await inspector.card(bare, "none")).toEqual({ unreadable: "no file in it is a README" });
  });

  test("gives of a long README its beginning", async () => {
    const path = await file("long.tar", buildTar([{ name: "docs/Readme.txt", content: "y".repeat(100_000) }]));
    const found = await inspector.card(path, "none");
    expect(found).toMatchObject({ path: "docs/Readme.txt", isCut: true });
    expect(found).toHaveProperty("bytes.length", 65_536);
  });
});

describe("facts", () => {
  test("are read from a header", async () => {
    expect(await inspector.facts(golden, "golden.gguf")).toEqual(FACTS);
    const hidden = buildSafetensors('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', Buffer.from("PK\u0003\u0004"));
    expect(await inspector.facts(await file("a.safetensors", hidden), "a.safetensors")).toEqual({
      format: "safetensors",
      quantization: "U8",
      parameters: 4,
      tensorCount: 1,
      suspicions: ['tensor "a" begins as a zip archive does'],
    });
  });

  test("of a file of no known format are a reason, and no error", async () => {
    expect(await inspector.facts(await file("a.bin", "PK"), "a.bin")).toEqual({ unreadable: "the file is neither GGUF nor safetensors" });
    expect(await inspector.facts(await file("empty", ""), "empty.gguf")).toEqual({ unreadable: "the file is shorter than a GGUF header" });
  });

  test("are told whatever the name is: of any length, with any characters", async () => {
    for (const name of ["", "\0", "a\0.gguf\0", "--eval", "x".repeat(1_000_000), `.${"x".repeat(1_000_000)}`]) {
      expect(await inspector.facts(golden, name)).toEqual(FACTS);
    }
    const none = await file("none", "neither, though its name may say so");
    expect(await inspector.facts(none, "model.gguf")).toEqual({ unreadable: "the file does not begin with GGUF" });
  });

  test("are waited for when many ask at once, and none is turned away", async () => {
    const one = createInspector({ processes: 1 });
    const answers = await Promise.all(Array.from({ length: 6 }, () => one.facts(golden, "golden.gguf")));
    expect(answers).toEqual(Array.from({ length: 6 }, () => FACTS));
  });

  test("of what is no regular file are an error", async () => {
    await mkdir(join(folder, "folder"), { recursive: true });
    await symlink(golden, join(folder, "link"));
    execFileSync("mkfifo", [join(folder, "fifo")]);
    for (const name of ["folder", "link", "fifo", "missing"]) {
      await expect(inspector.facts(join(folder, name), name)).rejects.toThrow(InspectionError);
    }
  });
});

describe("a file of 75 GB with 430 000 tokens", () => {
  test("is judged within bounded memory, by its header alone", async () => {
    const tokens = strings(Array.from({ length: 430_000 }, (_, at) => `▁token ${at}`));
    const path = await sparse("large.gguf", 75 * GIGABYTE, named("llama", ["tokenizer.ggml.tokens", tokens]));
    const { log, peaks } = peakLog();
    expect(await createInspector({ log }).facts(path, "large.gguf")).toEqual({
      ...FACTS,
      quantization: "I8",
      parameters: 75e9,
      tensorCount: 1,
    });
    expect(peaks).toHaveLength(1);
    // The process by itself has some 90 MB.
    expect(peaks[0]).toBeLessThan(300e6);
    expect(peaks[0]).toBeGreaterThan(20e6);
  });

  test("is hashed within bounded memory: a part of it, for time's sake", async () => {
    const path = await sparse("hashed.gguf", 0.3 * GIGABYTE);
    const { log, peaks } = peakLog();
    const seen: number[] = [];
    const generated = await createInspector({ log }).generate(path, "hashed.gguf", { progress: (bytes) => seen.push(bytes) });
    expect(generated).toHaveProperty("manifest");
    expect(peaks[0]).toBeLessThan(300e6);
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });
});

/** A log that keeps the most memory that each process had. */
function peakLog(): { readonly log: NonNullable<InspectorOptions["log"]>; readonly peaks: number[] } {
  const peaks: number[] = [];
  const debug = vi.fn<(fields: { readonly peak: number }) => void>(({ peak }) => peaks.push(peak));
  return { log: { debug, warn: vi.fn<() => void>() }, peaks };
}

describe("manifests", () => {
  test("are made, and match their file", async () => {
    const generated = await inspector.generate(golden, "golden.gguf");
    expect("manifest" in generated && Buffer.from(generated.manifest).toString()).toBe(MANIFEST);
    const path = await file("golden.json", MANIFEST);
    expect(await inspector.verify(golden, "golden.gguf", path)).toEqual({ outcome: "match", count: 0, lines: [] });
    expect(await inspector.verify(golden, "golden.gguf", Buffer.from(MANIFEST))).toEqual({ outcome: "match", count: 0, lines: [] });
    expect(await inspector.diff(path, path)).toMatchObject({ same: true });
  });

  test("that do not match tell the tensors", async () => {
    const changed = Buffer.from(GOLDEN).with(GOLDEN.length - 24, 1);
    const path = await file("changed.gguf", changed);
    expect(await inspector.verify(path, "changed.gguf", Buffer.from(MANIFEST))).toEqual({
      outcome: "mismatch",
      count: 3,
      lines: ["file hash mismatch", "output_norm.weight: hash mismatch", "Merkle root mismatch"],
    });
  });

  test("that are none check nothing", async () => {
    const other = await file("other.json", "{}");
    const good = await file("good.json", MANIFEST);
    expect(await inspector.verify(golden, "golden.gguf", other)).toMatchObject({ outcome: "cannot-check" });
    expect(await inspector.verify(golden, "golden.gguf", Buffer.alloc(0))).toMatchObject({ outcome: "cannot-check" });
    expect(await inspector.verify(golden, "golden.gguf", join(folder, "missing"))).toEqual({
      outcome: "cannot-check",
      count: 0,
      lines: ["the file cannot be opened (ENOENT)"],
    });
    expect(await inspector.diff(good, other)).toEqual({ unreadable: expect.stringMatching(/^the second manifest: /) as unknown });
    expect(await inspector.generate(other, "other.json")).toEqual({ unreadable: "the file is neither GGUF nor safetensors" });
  });

  test("of several megabytes go both ways whole", async () => {
    const tensors = Array.from({ length: 12_000 }, (_, at) => f32(`block.${at}.${"n".repeat(40)}`, [at]));
    const content = buildGguf({ tensors });
    const path = await file("many.gguf", content);
    const generated = await inspector.generate(path, "many.gguf");
    if (!("manifest" in generated)) throw new Error(generated.unreadable);
    expect(generated.manifest.length).toBeGreaterThan(3_000_000);
    expect(sha256(generated.manifest)).toBe(sha256(textFor(content)));
    expect(await inspector.verify(path, "many.gguf", generated.manifest)).toMatchObject({ outcome: "match" });
  });
});

const sha256 = (content: Uint8Array | string): string => createHash("sha256").update(content).digest("hex");

/** The next file is read as if nothing had happened, and no process is left behind. */
async function goesOn(after: Inspector): Promise<void> {
  expect(inspections()).toEqual([]);
  expect(await after.facts(golden, "golden.gguf")).toEqual(FACTS);
}

function killInspections(): void {
  for (const pid of inspections()) process.kill(pid, "SIGKILL");
}

describe("a process that does not answer", () => {
  test("is killed when its time is over", async () => {
    const hasty = createInspector({ headerMilliseconds: 1 });
    expect(await hasty.facts(golden, "golden.gguf")).toEqual({
      unreadable: "the process that read it gave no answer: it took longer than 1 s",
    });
    await goesOn(inspector);
  });

  test("tells nothing of the file that lasts: what would be shown of it can be asked for again", async () => {
    const hasty = createInspector({ headerMilliseconds: 1 });
    const asked = [hasty.details(golden, "golden.gguf"), hasty.files(golden, "none"), hasty.card(golden, "none")];
    for (const each of await Promise.allSettled(asked)) {
      expect(each).toMatchObject({
        reason: new InspectionError("the process that read it gave no answer: it took longer than 1 s"),
        status: "rejected",
      });
    }
    await goesOn(inspector);
  });

  test("has more time for a larger file, at the rate that is set", async () => {
    const path = await sparse("slow.gguf", 0.1 * GIGABYTE);
    const hasty = createInspector({ headerMilliseconds: 1, leastRate: 1e12 });
    expect(await hasty.verify(path, "slow.gguf", Buffer.from(MANIFEST))).toMatchObject({ outcome: "cannot-check" });
    const patient = createInspector({ headerMilliseconds: 1, leastRate: 1e6 });
    expect(await patient.verify(path, "slow.gguf", Buffer.from(MANIFEST))).toMatchObject({ outcome: "mismatch" });
  });

  test("may be killed by anybody while it hashes: that is no mismatch", async () => {
    const path = await sparse("killed.gguf", 64 * GIGABYTE);
    const one = createInspector({ processes: 1 });
    expect(await one.verify(path, "killed.gguf", Buffer.from(MANIFEST), { progress: killInspections })).toEqual({
      outcome: "cannot-check",
      count: 0,
      lines: ["the process that read it gave no answer: it was ended by SIGKILL"],
    });
    await goesOn(one);
  });

  test("because the file takes too much memory, ends alone", async () => {
    const described = Array.from({ length: 200_000 }, (_, at) => `"t${at}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);
    const path = await file("heavy.safetensors", buildSafetensors(`{${described.join(",")}}`));
    const small = createInspector({ heapMegabytes: 16 });
    expect(await small.facts(path, "heavy.safetensors")).toEqual({ unreadable: expect.stringMatching(/gave no answer/) as unknown });
    await goesOn(small);
    expect(await inspector.facts(path, "heavy.safetensors")).toMatchObject({ tensorCount: 200_000 });
  });

  test("is killed when nobody wants its answer any more", async () => {
    const path = await sparse("unwanted.gguf", 64 * GIGABYTE);
    const abort = new AbortController();
    const progress = (): void => abort.abort(new Error("not wanted"));
    await expect(inspector.generate(path, "unwanted.gguf", { signal: abort.signal, progress })).rejects.toThrow("not wanted");
    await goesOn(inspector);
    await expect(inspector.facts(golden, "golden.gguf", AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
  });
});

test("whatever is done to a file, the process answers, or ends alone", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
      const mutated = mutations.reduce<Buffer>((bytes, mutate) => mutate(bytes), GOLDEN);
      const path = await file("mutated.gguf", mutated);
      const generated = await inspector.generate(path, "mutated.gguf");
      const check = await inspector.verify(path, "mutated.gguf", "manifest" in generated ? generated.manifest : Buffer.from(MANIFEST));
      // What has a manifest matches it; what has none is not the golden file.
      expect(check.outcome).toBe("manifest" in generated ? "match" : "mismatch");
    }),
    { numRuns: 8 },
  );
});

test("a file that changes while it is read is not judged", async () => {
  const path = await sparse("changing.gguf", 64 * GIGABYTE);
  let changed: Promise<void> | undefined;
  const progress = (): void => void (changed ??= truncate(path, 1_000));
  expect(await inspector.verify(path, "changing.gguf", Buffer.from(MANIFEST), { progress })).toEqual({
    outcome: "cannot-check",
    count: 0,
    lines: ["the file was changed while it was being read"],
  });
  await changed;
});

test("the process may open nothing but its own code, nor reach out in any other way", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const probe = `
    import { execFileSync } from "node:child_process";
    import { readFileSync, readdirSync, writeFileSync } from "node:fs";
    import { connect } from "node:net";
    import { Worker } from "node:worker_threads";
    const told = {};
    const attempt = (name, work) => { try { work(); told[name] = "done"; } catch (error) { told[name] = error.code; } };
    attempt("another file", () => readFileSync(${JSON.stringify(golden)}));
    attempt("passwords", () => readFileSync("/etc/passwd"));
    attempt("a checkout's data", () => readdirSync("data"));
    attempt("writing", () => writeFileSync(${JSON.stringify(join(folder, "written"))}, "x"));
    attempt("a process", () => execFileSync("/bin/true"));
    attempt("a thread", () => new Worker("", { eval: true }));
    attempt("its own code", () => readFileSync(${JSON.stringify(join(process.cwd(), "src/scan/program.ts"))}));
    const socket = connect(${JSON.stringify(server.address())});
    socket.on("error", (error) => (told["a connection"] = error.code)).on("connect", () => (told["a connection"] = "done", socket.destroy()));
    process.on("exit", () => console.log(JSON.stringify(told)));
  `;
  const flags = [...sandboxFlags(64), "--input-type=module", "--eval", probe];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { env: {} });
  server.close();
  const refused = ["another file", "passwords", "a checkout's data", "writing", "a process", "a thread", "a connection"];
  expect(JSON.parse(stdout)).toEqual({ ...Object.fromEntries(refused.map((name) => [name, "ERR_ACCESS_DENIED"])), "its own code": "done" });
});
