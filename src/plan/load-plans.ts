/** @file The plans of one method, by how many texts share its passes: what drafts are worth changes with that. */

import { ALONE, type Company } from "../target/company.ts";
import { BudgetPlan } from "./budget-plan.ts";
import type { CostCurve } from "./cost.ts";

/** The plans of one text. */
export interface TextPlans {
  /** Nodes of the largest tree worth growing. */
  readonly most: number;
  /** The plan in such company, by default alone: one for 1 text, for 2, for 3 and 4, for 5 to 8, and so on. */
  at(company?: Company): BudgetPlan;
}

/** Those that the texts of one method begin with. */
export class LoadPlans implements TextPlans {
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

  get most(): number {
    return this.#cost.most;
  }

  at({ texts }: Company = ALONE): BudgetPlan {
    const level = levelOf(texts);
    this.#plans[level] ??= new BudgetPlan(this.#cost);
    return this.#plans[level];
  }

  /** Plans of their own for one text. */
  ofText(): TextPlans {
    const plans: BudgetPlan[] = [];
    return {
      most: this.most,
      at: (company = ALONE) => {
        const level = levelOf(company.texts);
        plans[level] ??= new BudgetPlan(this.#cost, this.at(company));
        return plans[level];
      },
    };
  }
}

function levelOf(texts: number): number {
  return Math.ceil(Math.log2(1 + texts));
}
