/** @file The plans of one method, by how many texts share its passes: what drafts are worth changes with that. */

import { ALONE, type Company } from "../target/company.ts";
import { BudgetPlan } from "./budget-plan.ts";
import type { CostCurve } from "./cost.ts";

export class LoadPlans {
  readonly #cost: CostCurve;
  readonly #plans: BudgetPlan[] = [];
  #sampled: LoadPlans | undefined;

  /** `cost` may be shared by methods: it is the model's. */
  constructor(cost: CostCurve) {
    this.#cost = cost;
  }

  /** Plans on the same costs for drafts of another kind, about which nothing is known. */
  fork(): LoadPlans {
    return new LoadPlans(this.#cost);
  }

  /** Those of texts that are sampled, of which drafts are worth less: {@link LoadPlans.fork}ed once. */
  get sampled(): LoadPlans {
    this.#sampled ??= this.fork();
    return this.#sampled;
  }

  /** The largest tree worth growing. */
  get most(): number {
    return this.#cost.most;
  }

  /** The plan of a text in such company: one for 1 text, for 2, for 3 and 4, for 5 to 8, and so on. */
  at({ texts }: Company = ALONE): BudgetPlan {
    const level = Math.ceil(Math.log2(1 + texts));
    this.#plans[level] ??= new BudgetPlan(this.#cost);
    return this.#plans[level];
  }
}
