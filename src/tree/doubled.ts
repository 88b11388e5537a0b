/** @file How flat arrays grow: to twice their length, so that an entry costs a bounded number of copies in the mean. */

/** An array of twice the length that begins with the elements of `array`; the others are 0. */
export function doubled<A extends Int32Array | Float64Array>(array: A): A {
  const larger = new (array.constructor as new (length: number) => A)(2 * array.length);
  larger.set(array);
  return larger;
}
