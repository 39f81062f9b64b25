/** The kinds of value that a configuration's keys take. All read texts, since files, variables and flags all hold texts. */
import { isIP } from "node:net";
import { z } from "zod";
import { findPlatform } from "../oci/platform.ts";
import { findRegistryHost } from "../oci/repository.ts";
import { findDurationMs } from "./durations.ts";
import { cronProblem, isTimezone } from "./schedules.ts";
import { findSizeBytes } from "./sizes.ts";

const shownLengthMax = 60;

/** Any text; empty is as good as absent. */
export const text = z.string({ error: "must be text" }).transform((written) => (written === "" ? undefined : written));

/** A text that must say something. */
export const word = z.string({ error: "must be text" }).min(1, { error: "must not be empty" });

export const flag = kind(z.union([z.boolean(), z.string()], { error: "must be true or false" }), "true or false", (written) => {
  const lower = written.toLowerCase();
  return lower === "true" || lower === "false" ? lower === "true" : undefined;
});

/** A whole number of `min` to `max`. */
export function wholeNumber(min: number, max: number) {
  const wanted = `a whole number from ${min} to ${max}`;
  return kind(z.union([z.int(), z.string()], { error: `must be ${wanted}` }), wanted, (written) => {
    const number = /^-?\d{1,15}$/.test(written) ? Number(written) : NaN;
    return number >= min && number <= max ? number : undefined;
  });
}

/** What an image is for: one platform, or all. */
export const platform = kind(z.string({ error: "must be text" }), "os/arch or os/arch/variant, such as linux/arm64, or all", (written) =>
  written === "all" ? "all" : findPlatform(written),
);

export const port = wholeNumber(0, 65_535);

/** A port, or 0 or nothing for none. */
export const extraPort = kind(z.union([z.int(), z.string()], { error: "must be a port" }), "a port from 1 to 65535, or 0 for none", (written) => {
  const number = /^\d{0,5}$/.test(written) ? Number(written) : NaN;
  return number <= 65_535 ? number : undefined;
});

/** One of a few words. */
export function choice<const Word extends string>(words: readonly [Word, ...Word[]]) {
  return z.enum(words, { error: ({ input }) => `${shown(input)} is none of ${words.join(", ")}` });
}

/** As `choice`, where nothing is a choice as well. */
export function optionalChoice<const Word extends string>(words: readonly [Word, ...Word[]]) {
  return z
    .enum([...words, ""], { error: ({ input }) => `${shown(input)} is none of ${words.join(", ")}` })
    .transform((written) => (written === "" ? undefined : (written as Word)));
}

const durationText = z.union([z.string(), z.number()], { error: "must be a duration such as 90s, 1h30m or 7d" });

/** Milliseconds that end. A bare number is seconds. `forEver` says what `-1` would come to: "the server would never stop". */
export function endingDuration(forEver: string) {
  return kind(durationText, `a duration such as 90s, 1h30m or 7d (with -1 ${forEver})`, (written) => finite(findDurationMs(written)));
}

/** As `lifetime`; a bare number is milliseconds, and nothing is too little. */
export const milliseconds = kind(
  durationText,
  "a number of milliseconds above 0, a duration such as 90s, or -1 for ever",
  (written) => findDurationMs(written, { bareUnit: "ms" }) || undefined,
);

/** Milliseconds that end, and more than none. */
export const lifeTime = kind(
  durationText,
  "a duration above 0 such as 6h; without it a credential is used as long as it lives",
  (written) => finite(findDurationMs(written)) || undefined,
);

/** Milliseconds, or -1 for ever: Infinity. A bare number is seconds. */
export const lifetime = kind(durationText, "a duration such as 90s, 1h30m or 7d, 0 for none, -1 for ever", (written) => findDurationMs(written));

/** How old an answer may be: true any age, false none, or an age. */
export const staleAge = kind(
  z.union([z.boolean(), z.string(), z.number()], { error: "must be true, false or an age such as 24h" }),
  "true, false, or an age such as 24h",
  (written) => {
    if (written === "true") return Infinity;
    return written === "false" ? 0 : findDurationMs(written);
  },
);

/** The same in other words: serve, refuse, or an age. */
export const deniedAge = kind(durationText, "serve, refuse, or an age such as 24h", (written) => {
  if (written === "serve") return Infinity;
  return written === "refuse" ? 0 : findDurationMs(written);
});

/** Whole bytes. */
export const size = kind(
  z.union([z.string(), z.number()], { error: "must be a size such as 200GiB" }),
  "a size such as 200GiB, or a number of bytes",
  findSizeBytes,
);

/** When something comes again; nothing: never. */
export const cron = z.string({ error: "must be a cron expression" }).transform((written, context): string | undefined => {
  const expression = written.trim();
  const problem = expression === "" ? undefined : cronProblem(expression);
  if (problem === undefined) return expression === "" ? undefined : expression;
  context.issues.push({ code: "custom", input: written, message: `${shown(written)} ${problem}` });
  return z.NEVER;
});

export const timezone = kind(z.string({ error: "must be a time zone" }), "a time zone such as Europe/Berlin or UTC", (written) =>
  isTimezone(written) ? written : undefined,
);

/** A part of a whole, above 0 and at most 1: written `90%`. */
export const part = kind(z.string({ error: "must be a part such as 90%" }), "a part from 1% to 100%", (written) => {
  const percent = Number(/^(\d{1,3}(?:\.\d+)?)%$/.exec(written)?.[1]);
  return percent >= 1 && percent <= 100 ? percent / 100 : undefined;
});

/** `host[:port]`, in lower case, otherwise as written. */
export const hostPort = kind(z.string({ error: "must be a host[:port]" }), "a host[:port]", (written) =>
  findRegistryHost(written) ? written.toLowerCase() : undefined,
);

/** Another name of a registry: a word that can stand first in a path. */
export const alias = kind(z.string({ error: "must be a word" }), "a word of letters, digits and . _ : -", (written) =>
  /^[a-z0-9](?:[a-z0-9._:-]{0,253}[a-z0-9])?$/i.test(written) ? written : undefined,
);

/** An IP address, or a network as `address/bits`. */
export const network = kind(z.string({ error: "must be a network such as 10.0.0.0/8" }), "a network such as 10.0.0.0/8, or an address", (written) => {
  const [address = "", bits, ...rest] = written.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return undefined;
  if (bits === undefined) return written;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128) ? written : undefined;
});

/** The address of a mirror: http or https, perhaps with a path, nothing else; without a slash at its end. */
export const mirrorUrl = kind(
  z.string({ error: "must be a url" }),
  "a url such as https://mirror.example.com/prefix, without user, query and fragment",
  (written) => {
    if (!URL.canParse(written)) return undefined;
    const { protocol, username, password, search, hash, origin, pathname } = new URL(written);
    if ((protocol !== "https:" && protocol !== "http:") || username || password || search || hash) return undefined;
    return `${origin}${pathname.replace(/\/+$/, "")}`;
  },
  { isSecret: true },
); // People put passwords into urls.

/** Origins of pages, with commas between, as browsers write them; `*` is any. Nothing is none. */
export const origins = kind(z.string({ error: "must be text" }), "an origin such as https://ui.example.com, several with commas between, or *", (written) => {
  if (written === "*") return "any" as const;
  const all = written.split(",").flatMap((one) => one.trim().replace(/\/$/, "") || []);
  const isOrigin = (one: string): boolean => /^https?:[^*]*$/i.test(one) && URL.parse(one)?.origin === one.toLowerCase();
  return all.every(isOrigin) ? all.map((one) => one.toLowerCase()) : undefined;
});

/** The address of a service that gives credentials, as written: http or https, without a user or a fragment. */
export const serviceUrl = kind(
  z.string({ error: "must be a url" }),
  "a url such as https://login.example.com/token, without user and fragment",
  (written) => {
    const { protocol, username, password, hash } = URL.parse(written) ?? {};
    return (protocol === "https:" || protocol === "http:") && !username && !password && !hash ? written : undefined;
  },
  { isSecret: true },
);

/** A value that `read` makes of its text; where it makes none, the value, unless it may be secret, is said not to be `wanted`. */
function kind<Value>(
  input: z.ZodType<string | number | boolean, string | number | boolean>,
  wanted: string,
  read: (written: string) => Value | undefined,
  { isSecret = false } = {},
) {
  return input.transform((written, context): Value => {
    const value = read(String(written).trim());
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", input: written, message: isSecret ? `must be ${wanted}` : `${shown(written)} is not ${wanted}` });
    return z.NEVER;
  });
}

function finite(durationMs: number | undefined): number | undefined {
  return durationMs === Infinity ? undefined : durationMs;
}

function shown(value: unknown): string {
  const written = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  return written.length > shownLengthMax ? `"${written.slice(0, shownLengthMax)}..."` : `"${written}"`;
}
