/** BoundedLabels: label values that clients can choose (registries they name), kept from growing without end. */

export class BoundedLabels {
  readonly #max: number;
  readonly #seen = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  /** `value` itself for the first so many distinct values, `other` for all that come later. */
  of(value: string): string {
    if (this.#seen.has(value)) return value;
    if (this.#seen.size >= this.#max) return "other";
    this.#seen.add(value);
    return value;
  }
}
