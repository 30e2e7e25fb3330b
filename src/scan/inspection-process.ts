import type { ByteSource } from "../formats/byte-source.ts";
import { FormatError } from "../formats/format-error.ts";
import { factsOf, readModelFile } from "../formats/model-facts.ts";
import type { Answer } from "./answer.ts";
import { FileSource, ReadError } from "./file-source.ts";
import { FIRST, writeLine } from "./handed.ts";
import { type Place, parsePlace } from "./place.ts";

/*
 * A process of its own that reads files from others and answers on standard output. It blocks, and does not listen: whoever started it
 * ends it when it takes too long. It writes from time to time, so that it ends by itself when nobody reads that any more.
 */

/** The longest reason that is taken. */
const MAX_REASON = 1_024;

/** From a task's name, that of the file and its place in an archive, where it is in one, to the answer. */
async function answer(task: string, name: string, place: Place | undefined): Promise<Answer> {
  if (task === "facts") return facts(name);
  if (task === "details") return details(name, place);
  if (place !== undefined) return inArchive(task, place);
  // Loaded when there is need: most files are asked for nothing but facts, and this brings the schemas with it.
  const { compare, generate, verify } = await import("./manifest-tasks.ts");
  if (task === "generate") return generate(name);
  return task === "verify" ? verify(name) : compare();
}

function facts(name: string): Answer {
  const source = new FileSource(FIRST);
  const found = factsOf(readModelFile(source, name));
  source.checkUnchanged();
  return { answer: "facts", facts: found };
}

async function details(name: string, place: Place | undefined): Promise<Answer> {
  const { readDetails } = await import("../formats/model-details.ts");
  const source = new FileSource(FIRST);
  const found = readDetails(place === undefined ? source : await packed(source, place), name);
  source.checkUnchanged();
  return { answer: "details", details: found };
}

async function packed(archive: FileSource, place: Place): Promise<ByteSource> {
  const { fileIn, unpack } = await import("./unpack.ts");
  return fileIn(await unpack(archive, place.packing), place);
}

async function inArchive(task: string, place: Place): Promise<Answer> {
  const { card, listFiles } = await import("./archive-tasks.ts");
  const source = new FileSource(FIRST);
  const found = await (task === "card" ? card(source, place) : listFiles(source, place));
  source.checkUnchanged();
  return found;
}

async function attempt(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FormatError) return { answer: "unreadable", reason: error.message.slice(0, MAX_REASON) };
    if (error instanceof ReadError) return { answer: "failed", reason: error.message };
    throw error;
  }
}

const [, , task = "", name = "", place = ""] = process.argv;
const result = await attempt(() => answer(task, name, parsePlace(place)));
writeLine({ peak: process.resourceUsage().maxRSS * 1024, result });
