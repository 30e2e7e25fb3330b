/** Something happened after the snapshot was taken: what was gathered is of two times. */
export class MovedOn extends Error {
  override readonly name = "MovedOn";
}
