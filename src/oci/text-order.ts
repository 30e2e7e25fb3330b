/** The order of texts by their code units, as a sort asks for it: that of rows, and the same everywhere. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
