/** @file How much of a text a row reads. */

/** Positions that a row behind `length` tokens attends to, the mean of the first `layers` layers; `windows`: what each layer sees, undefined: all. */
export function attended(
  windows: readonly (number | undefined)[],
  length: number,
  layers = windows.length,
): number {
  let sum = 0;
  for (let i = 0; i < layers; i++) sum += Math.min(length, windows[i] ?? length);
  return sum / layers;
}
