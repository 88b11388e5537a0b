/** @file Words every layer shares: the index spaces, which keep their own names so that they are never mixed up. */

/** Index into the vocabulary, 0 <= token < vocabSize. */
export type TokenId = number;

/** Index into a {@link DraftTree}; 0 is the root. */
export type NodeIndex = number;

/** Absolute place in the text, counted from 0 at the first prompt token. */
export type Position = number;
