/**
 * @file What is learnt from texts and can be kept for later ones: numbers under names. Whoever learns owns them and states their name once, so
 * that methods which learn the same thing share it in a file. Where the numbers of a name come to mean something else, it needs another name.
 */

export type Numbers = Int32Array | Float64Array;

/** Something that is learnt. */
export interface Memory {
  /** All of it, as it is now: what is kept, and what is overwritten when it is restored. */
  readonly values: Numbers;
  /** Whether numbers of the same kind and count, maybe out of a hostile file, can be its own. */
  accepts(values: Numbers): boolean;
  /** Other values have been put in place. */
  restored?(): void;
}

/** By name: lower-case letters, digits, "-" and ".", at most 64. */
export type Learnt = Readonly<Record<string, Memory>>;

/** Numbers by the names of the memories that they were taken from. */
export type Kept = ReadonlyMap<string, Numbers>;

/** The numbers themselves, not copies. */
export function valuesOf(learnt: Learnt): Map<string, Numbers> {
  return new Map(Object.entries(learnt).map(([name, { values }]) => [name, values]));
}

/**
 * Puts what was kept in place of what is learnt; what has no counterpart stays as it is. Gives the name of something that does not fit,
 * and has then changed nothing.
 */
export function restore(learnt: Learnt, kept: Kept): string | undefined {
  const found = Object.entries(learnt).flatMap(([name, memory]) => {
    const values = kept.get(name);
    return values === undefined ? [] : [{ name, memory, values }];
  });
  const wrong = found.find(({ memory, values }) => !fits(memory, values));
  if (wrong !== undefined) return wrong.name;
  for (const { memory, values } of found) {
    memory.values.set(values);
    memory.restored?.();
  }
  return undefined;
}

function fits(memory: Memory, values: Numbers): boolean {
  const own = memory.values;
  return own.constructor === values.constructor && own.length === values.length && memory.accepts(values);
}
