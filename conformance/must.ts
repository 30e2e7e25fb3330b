import type { Ran } from "./run-program.ts";

/** Throws the complaint unless the condition held. */
export function must(held: boolean, complaint: string): asserts held {
  if (!held) throw new Error(complaint);
}

/** Standard output of a program that ended with 0; throws with all of its words otherwise. */
export function mustSucceed({ code, out, err }: Ran): string {
  must(code === 0, `exit code ${code}\n${out}${err}`);
  return out;
}

/** A refusal is a non-zero exit code together with the words that say why; anything else that went wrong is no refusal. */
export function mustBeRefused({ code, out, err }: Ran, words: RegExp): void {
  must(code !== 0, `succeeded, though it must be refused\n${out}`);
  must(words.test(out + err), `failed for another reason than ${words}\n${out}${err}`);
}
