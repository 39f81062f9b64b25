/** What a credential provider plugin of the kubelet is asked, and answers: `credentialprovider.kubelet.k8s.io/v1`. */
import { OciError } from "../oci/errors.ts";
import { Secret } from "../oci/secret.ts";
import type { CredentialContent } from "./credentials.ts";
import { bySpecificity, matchesImage, parseImagePattern, type ImagePattern } from "./image-pattern.ts";
import { objectOf, parseJsonObject, type JsonObject } from "./json-object.ts";

const apiVersion = "credentialprovider.kubelet.k8s.io/v1";
const credentialsMax = 1_000;

export interface KubeletAnswer {
  /** What the answer is good for beside the image that was asked for. */
  readonly scope: "image" | "registry" | "global";
  /** How long; 0: for this once. Undefined: the plugin leaves it to us. */
  readonly durationMs: number | undefined;
  /** The most specific pattern first. */
  readonly credentials: readonly { readonly pattern: ImagePattern; readonly user: string; readonly password: Secret }[];
}

const scopes: ReadonlyMap<unknown, KubeletAnswer["scope"]> = new Map([
  ["Image", "image"],
  ["Registry", "registry"],
  ["Global", "global"],
]);

/** What the plugin reads: `image` is `host/repository`, as the kubelet names it. */
export function kubeletQuestion(image: string): string {
  return `${JSON.stringify({ kind: "CredentialProviderRequest", apiVersion, image })}\n`;
}

/** A plugin's answer. Throws `DENIED` when it is none; the message begins with `what`, and holds nothing of the answer. */
export function parseKubeletAnswer(bytes: Buffer, what: string): KubeletAnswer {
  const wrong = (why: string): OciError => new OciError("DENIED", `${what}: what it answered cannot be used: ${why}`);
  const json = parseJsonObject(bytes);
  if (!json) throw wrong("it is no JSON object");
  if (json["kind"] !== "CredentialProviderResponse" || json["apiVersion"] !== apiVersion)
    throw wrong(`it is no CredentialProviderResponse of ${apiVersion}; is this a credential provider plugin of the kubelet, and new enough?`);
  const scope = scopes.get(json["cacheKeyType"]);
  if (!scope) throw wrong("its cacheKeyType is none of Image, Registry and Global");
  const entries = Object.entries(objectOf(json["auth"]) ?? {});
  if (entries.length > credentialsMax) throw wrong(`it has more than ${credentialsMax} credentials`);
  const credentials = entries.flatMap(([key, value]) => parseEntry(key, value) ?? []);
  if (credentials.length < entries.length) throw wrong("an entry of its auth is not of the form pattern: {username, password}");
  return { scope, durationMs: durationOf(json, wrong), credentials: credentials.toSorted((one, other) => bySpecificity(one.pattern, other.pattern)) };
}

function parseEntry(key: string, value: unknown): KubeletAnswer["credentials"][number] | undefined {
  const pattern = parseImagePattern(key);
  const { username: user, password } = objectOf(value) ?? {};
  return pattern && typeof user === "string" && typeof password === "string" ? { pattern, user, password: new Secret(password) } : undefined;
}

function durationOf(json: JsonObject, wrong: (why: string) => OciError): number | undefined {
  const written = json["cacheDuration"] ?? undefined;
  if (written === undefined) return undefined;
  const durationMs = typeof written === "string" ? parseGoDuration(written) : undefined;
  if (durationMs === undefined) throw wrong("its cacheDuration is no duration like 1h30m");
  return durationMs;
}

/** The credential for `image`; undefined when no pattern matches, or the one that does comes with an empty pair. */
export function findForImage({ credentials }: KubeletAnswer, image: string): CredentialContent | undefined {
  const found = credentials.find(({ pattern }) => matchesImage(pattern, image));
  const [user = "", password = ""] = [found?.user, found?.password.reveal()];
  return user === "" && password === "" ? undefined : { kind: "basic", user, password };
}

const unitsMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration as Go prints it (`12h0m0s`), in milliseconds; a negative one is none at all. Undefined for anything else. */
export function parseGoDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const [, sign, rest = ""] = /^([-+]?)((?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)){1,8})$/.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const parts = [...rest.matchAll(/([0-9.]+)([a-z\u00b5\u03bc]+)/g)];
  const totalMs = parts.reduce((sumMs, [, number, unit = ""]) => sumMs + Number(number) * (unitsMs[unit] ?? 0), 0);
  return sign === "-" ? 0 : totalMs;
}
