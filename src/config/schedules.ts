/** Schedules as people write them: cron expressions, and the time zones that they are meant in. */
import { validateDetailed } from "node-cron";

/** What is wrong with a cron expression of five or six fields, in words; undefined when nothing is. Never throws. */
export function cronProblem(expression: string): string | undefined {
  const { valid, errors } = validateDetailed(expression);
  return valid ? undefined : `is not a cron expression such as "0 4 * * 0": ${errors[0]?.message ?? "five fields are wanted"}`;
}

/** Whether `word` is a time zone of the IANA's: `Europe/Berlin`, `UTC`. Never throws. */
export function isTimezone(word: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: word });
    return true;
  } catch {
    return false; // A RangeError is all that it throws.
  }
}
