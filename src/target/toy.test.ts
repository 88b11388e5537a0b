import { describeTarget } from "../../test/target-contract.ts";
import { ToyTarget } from "./toy.ts";

describeTarget("toy", async () => new ToyTarget());
describeTarget(
  "toy with ties, without context",
  async () => new ToyTarget({ levels: 1, order: 1, longRange: 0 }),
);
