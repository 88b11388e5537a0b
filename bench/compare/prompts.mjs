/** @file The categories, and their prompts out of the files that have them. Of a conversation, the first turn. */

import { join } from "node:path";
import { readPrompts, spread } from "../../dist/cli/prompts.js";

/** By category: the prompt file, and the one of its own categories that is meant. */
const SOURCES = {
  "mt-bench": ["mt_bench"],
  gsm8k: ["gsm8k"],
  humaneval: ["humaneval"],
  summarization: ["spec_bench", "summarization"],
  qa: ["spec_bench", "qa"],
  translation: ["spec_bench", "translation"],
  rag: ["spec_bench", "rag"],
  "code-edit": ["code_edit"],
};

export const CATEGORIES = Object.keys(SOURCES);

const root = join(import.meta.dirname, "../..");

/**
 * All prompts by category: of `categories` out of the folder `data` (default ESPALIER_DATA, or ../shared/data), or of the `files` that are given,
 * whose rows name their own.
 */
export async function readCategories({ data, files, categories }) {
  if (files !== undefined) {
    const rows = (await Promise.all(files.map(readPrompts))).flat();
    const names = categories ?? [...new Set(rows.map(({ category }) => category))];
    return new Map(
      names.map((name) => [
        name,
        found(
          name,
          rows.filter(({ category }) => category === name),
        ),
      ]),
    );
  }
  const folder = data ?? process.env.ESPALIER_DATA ?? join(root, "../shared/data");
  const read = new Map();
  const all = new Map();
  for (const name of categories ?? CATEGORIES) {
    if (!Object.hasOwn(SOURCES, name)) {
      throw new RangeError(`--categories has ${name}; the categories are ${CATEGORIES.join(", ")}`);
    }
    const [file, part] = SOURCES[name];
    if (!read.has(file)) read.set(file, await readPrompts(join(folder, `${file}.jsonl`)));
    all.set(
      name,
      found(
        name,
        read.get(file).filter(({ category }) => part === undefined || category === part),
      ),
    );
  }
  return all;
}

function found(name, rows) {
  if (rows.length > 0) return rows;
  throw new RangeError(`there are no prompts of category ${name} in these files`);
}

/** At most `most` prompts of each category, spread over its rows, category by category in turn. */
export function choosePrompts(all, most) {
  const chosen = [...all].map(([category, rows]) => spread(rows, most).map((row) => ({ ...row, category })));
  const longest = Math.max(...chosen.map((rows) => rows.length));
  return Array.from({ length: longest }, (_, at) => chosen.flatMap((rows) => rows[at] ?? [])).flat();
}
