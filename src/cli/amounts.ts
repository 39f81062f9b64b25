/** How amounts are told to people: those of the vocabulary, and times. */

export { countText, sizeText } from "../oci/amounts.ts";

/** `0.4 s`, `12 s`, `3 min 5 s`. */
export function timeText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
