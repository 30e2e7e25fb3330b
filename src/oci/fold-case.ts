/** A text without the difference of cases, by way of the upper one, so that the long s and the Kelvin sign fold as well. */
export function foldCase(text: string): string {
  return text.toUpperCase().toLowerCase();
}
