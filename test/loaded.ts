/** @file Heads, exit blocks and length predictors with their weights, which otherwise come when a text drafts with them. */

import { openExit } from "../src/engine/native-exit.ts";
import { openHead } from "../src/engine/native-head.ts";
import { openLdlp } from "../src/engine/native-ldlp.ts";

export const loadHead = (...parameters: Parameters<typeof openHead>) => loaded(openHead(...parameters));
export const loadExit = (...parameters: Parameters<typeof openExit>) => loaded(openExit(...parameters));
export const loadLdlp = (...parameters: Parameters<typeof openLdlp>) => loaded(openLdlp(...parameters));

async function loaded<Part extends { load(): Promise<void> } & AsyncDisposable>(
  opening: Promise<Part>,
): Promise<Part> {
  const part = await opening;
  try {
    await part.load();
    return part;
  } catch (error) {
    await part[Symbol.asyncDispose]();
    throw error;
  }
}
