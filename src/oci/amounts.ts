/** How amounts are told to people. */

const units = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

/** `0 bytes`, `9.8 KiB`, `120 MiB`. */
export function sizeText(sizeBytes: number): string {
  let amount = sizeBytes;
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit > 0 && amount < 99.95 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

/** `1 image`, `2 images`. */
export function countText(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
