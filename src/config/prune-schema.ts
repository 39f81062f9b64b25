/** `pruneConfig`: what is removed from the store, when, and what is not. */
import { z } from "zod";
import { choice, cron, flag, lifetime, part, size, text, timezone, wholeNumber, word } from "./scalars.ts";

const keep = z.strictObject({
  pattern: word.optional().describe("Doublestar pattern over names, and over name:tag."),
  lastTags: wholeNumber(1, 1_000_000).optional().describe("So many of a repository's tags, those that came last; with pattern, where it matches."),
  pinned: flag.optional().describe("What is pinned is kept in any case."),
});

export const pruneConfig = z.strictObject({
  enabled: flag.prefault(false).describe("Prune while serving, by type. maxSize holds without it."),
  type: choice(["accessed", "created", "pattern"])
    .prefault("accessed")
    .describe("accessed: what nobody has pulled for duration; created: what came longer ago; pattern: what expr matches."),
  duration: lifetime.prefault("30d").describe("The age from which images are pruned; -1 for none."),
  frequency: lifetime.prefault("1d").describe("How often; -1 for never."),
  schedule: cron.optional().describe("When, as a cron expression, in place of frequency."),
  count: wholeNumber(-1, 1_000_000_000).prefault(-1).describe("How many images at most each time, the least recently used first; -1 for any number."),
  expr: text.prefault("").describe("For type pattern: regular expressions in Go's syntax, with commas between, over host/path:tag."),
  dryRun: flag
    .prefault(false)
    .describe("Only say what would be pruned, whoever asks for it: the schedule, the command, the administrative route; maxSize does not hold then."),
  dryrun: flag.optional().describe("The same as dryRun."),
  maxSize: size.optional().describe("How large the store may grow, temporary files included: the least recently used images go first."),
  lowWater: part.prefault("90%").describe("Down to what part of a maxSize is evicted."),
  keep: z.array(keep).prefault([]).describe("What is never pruned nor evicted, with what refers to it."),
  timezone: timezone.prefault("UTC").describe("The time zone of schedule, and of the command's --date."),
});
