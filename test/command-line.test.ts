import { expect, test } from "vitest";
import { UsageError, parseCommandLine } from "../src/command-line.ts";

const PASSPHRASE = ["--passphrase-file", "p"];

test.each([
  [[], { command: "serve" }],
  [["recover"], { command: "recover" }],
  [["help"], { command: "help" }],
  [["backup", "-h"], { command: "help" }],
  [["--version"], { command: "version" }],
  [["backup", "b", ...PASSPHRASE], { command: "backup", folder: "b", passphraseFile: "p", atLeast: 0 }],
  [["backup", "b", "--passphrase-file", "-"], { command: "backup", folder: "b", passphraseFile: "-", atLeast: 0 }],
  [["restore", "b", ...PASSPHRASE, "--at-least", "7"], { command: "restore", folder: "b", passphraseFile: "p", atLeast: 7 }],
])("%j is understood", (args, asked) => {
  expect(parseCommandLine(args)).toEqual(asked);
});

test.each([
  [["serve"], "unknown command: serve"],
  [["--bogus"], "--bogus"],
  [["--at-least", "1"], "the server takes no --at-least"],
  [["recover", "x"], "recover takes no x"],
  [["recover", ...PASSPHRASE], "recover takes no --passphrase-file"],
  [["backup"], "backup needs the folder"],
  [["backup", "a", "b", ...PASSPHRASE], "backup takes no b"],
  [["backup", "a", ...PASSPHRASE, "--at-least", "1"], "backup takes no --at-least"],
  [["check-backup", "a"], "--passphrase-file: name a file"],
  [["restore", "a", ...PASSPHRASE, "--at-least", "x"], "--at-least: must be"],
  [["restore", "a", ...PASSPHRASE, "--at-least", "-1"], "--at-least"],
])("%j is a mistake that is named", (args, words) => {
  const parse = (): unknown => parseCommandLine(args);
  expect(parse).toThrow(UsageError);
  expect(parse).toThrow(words);
});
