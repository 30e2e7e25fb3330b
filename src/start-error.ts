/** Why the registry does not start, or cannot go on; the message is for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}
