/** Results of several rounds, and the table they end up in: medians, and ours as a multiple of each peer's. */

export interface MeasureUnit {
  readonly unit: string;
  readonly decimals: number;
  /** Ratios say how many times better we are; for times and memory less is better. */
  readonly lessIsBetter?: boolean;
}

export class Results {
  readonly #values = new Map<string, { readonly unit: MeasureUnit; readonly byContender: Map<string, number[]> }>();

  add(measure: string, unit: MeasureUnit, contender: string, value: number): void {
    const row = this.#values.get(measure) ?? { unit, byContender: new Map<string, number[]>() };
    row.byContender.set(contender, [...(row.byContender.get(contender) ?? []), value]);
    this.#values.set(measure, row);
  }

  /** A row for each measure, a column for each contender, and ours divided by each other's (or, for times, the other way round). */
  table(contenders: readonly string[]): string {
    const [ours = "", ...peers] = contenders;
    const header = ["", ...contenders, ...peers.map((peer) => `x ${peer}`)];
    const rows = [...this.#values].map(([measure, { unit, byContender }]) => {
      const medians = new Map([...byContender].map(([contender, values]) => [contender, median(values)]));
      const cells = contenders.map((contender) => formatted(medians.get(contender), unit));
      return [`${measure}, ${unit.unit}`, ...cells, ...peers.map((peer) => ratio(medians.get(ours), medians.get(peer), unit))];
    });
    return aligned([header, ...rows]);
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

function ratio(ours: number | undefined, peers: number | undefined, { lessIsBetter = false }: MeasureUnit): string {
  if (ours === undefined || peers === undefined) return "-";
  return (lessIsBetter ? peers / ours : ours / peers).toFixed(2);
}

function formatted(value: number | undefined, { decimals }: MeasureUnit): string {
  return value === undefined ? "-" : value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  "))
    .join("\n");
}
