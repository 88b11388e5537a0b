/** @file Which names a user may have meant, by Levenshtein's edit distance. */

/** `names` with those most like `wanted` first; case does not count. */
export function byLikeness(wanted: string, names: readonly string[]): string[] {
  const distances = new Map(names.map((name) => [name, distance(wanted.toLowerCase(), name.toLowerCase())]));
  return [...names].sort((a, b) => distances.get(a)! - distances.get(b)!);
}

/** The one of `names` that `wanted` may be a misspelling of, or of the beginning of. */
export function misspelt(wanted: string, names: readonly string[]): string | undefined {
  const begins = new Map(names.map((name) => [name.slice(0, wanted.length + 1), name]));
  const best = byLikeness(wanted, [...begins.keys()])[0];
  if (best === undefined || distance(wanted.toLowerCase(), best.toLowerCase()) > best.length / 3)
    return undefined;
  return begins.get(best);
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, above[j]! + 1, row[j - 1]! + 1));
    }
  }
  return row[b.length]!;
}
