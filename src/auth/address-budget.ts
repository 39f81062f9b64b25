/**
 * AddressBudget: how often strangers may ask for something within a window of time, from one address, from one network, and from everywhere. Who
 * has one address of IPv6 often has a whole network of them: without a part of its own it would use up everybody's.
 */
import type { Clock } from "../oci/clock.ts";
import { budgetAddress, budgetNetwork } from "./login-budgets.ts";
import { WindowBudget } from "./window-budget.ts";

export interface AddressBudgetOptions {
  readonly perAddress: number;
  /** Of IPv6, by /48. */
  readonly perNetwork: number;
  readonly inAll: number;
  readonly windowMs: number;
  readonly clock: Clock;
}

export class AddressBudget {
  readonly #networks: WindowBudget;
  readonly #addresses: WindowBudget;

  constructor({ perAddress, perNetwork, inAll, windowMs, clock }: AddressBudgetOptions) {
    this.#networks = new WindowBudget({ perOne: perNetwork, inAll: Infinity, windowMs, clock });
    this.#addresses = new WindowBudget({ perOne: perAddress, inAll, windowMs, clock });
  }

  /** Counts one time more for `client`. Undefined: it may be done; else it is too often, nothing is counted, and it is so long until it may be. */
  spend(client: string): { readonly waitMs: number } | undefined {
    const network = budgetNetwork(client);
    const spent = network === undefined ? undefined : this.#networks.spend(network);
    if (spent) return spent;
    const over = this.#addresses.spend(budgetAddress(client));
    if (over && network !== undefined) this.#networks.giveBack(network);
    return over;
  }
}
