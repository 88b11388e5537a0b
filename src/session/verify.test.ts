import { expect, it } from "vitest";
import { passOfRows } from "../../test/outcomes.ts";
import { History } from "../sampling/history.ts";
import { samplingSettings } from "../sampling/options.ts";
import { createSampler } from "../sampling/sampler.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { verify } from "./verify.ts";

it("follows the target's tokens as deep as the tree has them, whatever the order of the branches", () => {
  const tree = new DraftTree(1, 16);
  tree.push(0, 2, 0.9);
  const three = tree.push(0, 3, 0.1);
  tree.push(three, 2, 0.5);
  const path = [0, three];
  for (const token of [4, 5, 6, 7]) path.push(tree.push(path.at(-1)!, token, 0.5));
  // The row of each node says which token comes next.
  const next = [3, 9, 4, 9, 5, 6, 7, 8];
  const history = new History([0, 1]);
  const sampler = createSampler(samplingSettings({}), history);
  expect(verify(tree, passOfRows(next.map((token) => [token])), sampler, history)).toEqual({
    path,
    bonus: 8,
  });
  expect(history.tokens).toEqual([0, 1, 3, 4, 5, 6, 7, 8]);
});
