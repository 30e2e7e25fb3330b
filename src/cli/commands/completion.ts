import { Argument, type Command } from "commander";
import { completionScript } from "../completion-script.ts";
import type { OpenSession } from "../session.ts";

const HELP = `
Examples:
  source <(securectl completion bash)
  securectl completion zsh > "\${fpath[1]}/_securectl"
  securectl completion fish > ~/.config/fish/completions/securectl.fish`;

/** `completion`: a script for the shell, made from the commands as they are. */
export function addCompletion(program: Command, open: OpenSession): void {
  program
    .command("completion")
    .summary("print a completion script for a shell")
    .description("Print a script that completes commands and options.")
    .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", HELP)
    .action((shell: "bash" | "zsh" | "fish", _options: object, command: Command) => {
      open(command).terminal.print(completionScript(program, shell));
    });
}
