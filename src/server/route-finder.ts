/** RouteFinder: `findRoute` that remembers. Nodes ask for the same few thousand URLs again and again. */
import type { NamingRules } from "./naming.ts";
import { findRoute, type Route } from "./routes.ts";

const rememberedMax = 4_096;
const urlLengthRemembered = 512;

export class RouteFinder {
  readonly #remembered = new Map<string, Route>();
  #rules: NamingRules | undefined;

  /** As `findRoute`; what a URL means is remembered until the rules are others. */
  find(target: string, xRegistry: string | undefined, rules: NamingRules): Route | undefined {
    if (this.#rules?.names !== rules.names || this.#rules.unlisted !== rules.unlisted) {
      this.#remembered.clear();
      this.#rules = rules;
    }
    if (xRegistry !== undefined) return findRoute(target, xRegistry, rules);
    const known = this.#remembered.get(target);
    if (known) return known;
    const route = findRoute(target, undefined, rules);
    if (route && target.length <= urlLengthRemembered) this.#remember(target, route);
    return route;
  }

  /** Full: all are forgotten at once, which costs each of them one parse. */
  #remember(target: string, route: Route): void {
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
    this.#remembered.set(target, route);
  }
}
