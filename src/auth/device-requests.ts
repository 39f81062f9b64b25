/** Device requests: what a terminal asks with, as a form, read. RFC 8628 3.1 and 3.4; `label`, `host` and `key_expires_in` are our own. */
import { grantLifeMs, type DeviceGrant } from "./device-grant-records.ts";

/** The one client there is: it is public, and has no secret (RFC 6749 2.1). */
export const deviceClientId = "ociregistry";
export const deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code";

/** What a terminal wants, and says of itself. */
export type WantedDeviceGrant = Pick<DeviceGrant, "label" | "host" | "keyLifeMs" | "isReadOnly">;

/** A request that makes no sense, in the words of RFC 6749 5.2. */
export class BadDeviceRequest extends Error {
  readonly error: "invalid_request" | "invalid_client" | "invalid_grant" | "invalid_scope" | "unsupported_grant_type";

  constructor(error: BadDeviceRequest["error"], message: string) {
    super(message);
    this.name = "BadDeviceRequest";
    this.error = error;
  }
}

const keyLifeMsDefault = 90 * 86_400_000;
const keyLifeMsMin = grantLifeMs;
/** Whoever is not seen for so long has no keys that work anyway. */
const keyLifeMsMax = 400 * 86_400_000;
const labelLengthMax = 100;
const hostLengthMax = 64;
const programLengthMax = 100;

/** The form of the first request. Throws `BadDeviceRequest`. */
export function readWantedGrant(form: URLSearchParams): WantedDeviceGrant {
  checkClient(form);
  const host = textIn(form, "host", hostLengthMax) ?? "";
  const scope = only(form, "scope") ?? "";
  if (scope !== "" && scope !== "read") throw new BadDeviceRequest("invalid_scope", "scope is to be read, for a key that pulls and does no more, or nothing");
  return {
    host,
    label: textIn(form, "label", labelLengthMax) ?? (host === "" ? "login on a terminal" : `login on ${host}`),
    keyLifeMs: readKeyLife(only(form, "key_expires_in")),
    isReadOnly: scope === "read",
  };
}

/** The device code of the form of later requests, whatever it may be. Throws `BadDeviceRequest`. */
export function readDeviceCode(form: URLSearchParams): string {
  const grantType = only(form, "grant_type");
  if (grantType === undefined) throw new BadDeviceRequest("invalid_request", "grant_type is missing");
  if (grantType !== deviceGrantType) throw new BadDeviceRequest("unsupported_grant_type", `grant_type is to be ${deviceGrantType}`);
  checkClient(form);
  return only(form, "device_code") ?? missing("device_code");
}

/** The key that a terminal gives up, and whose it is. Throws `BadDeviceRequest`. */
export function readGivenUp(form: URLSearchParams): { readonly owner: string; readonly secret: string } {
  return { owner: only(form, "username") ?? missing("username"), secret: only(form, "token") ?? missing("token") };
}

/** A program's name, as it says it, so that it can be shown. */
export function shownProgram(userAgent: string | undefined): string {
  return (userAgent ?? "").slice(0, programLengthMax).replaceAll(unshownOnes, "?");
}

function checkClient(form: URLSearchParams): void {
  const id = only(form, "client_id") ?? missing("client_id");
  if (id !== deviceClientId) throw new BadDeviceRequest("invalid_client", `client_id is to be ${deviceClientId}`);
}

function readKeyLife(written: string | undefined): number {
  if (written === undefined) return keyLifeMsDefault;
  const lifeMs = /^[0-9]{1,9}$/.test(written) ? Number(written) * 1_000 : NaN;
  if (lifeMs >= keyLifeMsMin && lifeMs <= keyLifeMsMax) return lifeMs;
  throw new BadDeviceRequest(
    "invalid_request",
    `key_expires_in is to be seconds, of ${keyLifeMsMin / 60_000} minutes at least and ${keyLifeMsMax / 86_400_000} days at most`,
  );
}

/** One line that shows as it is written: somebody is going to decide by it. */
function textIn(form: URLSearchParams, name: string, lengthMax: number): string | undefined {
  const text = only(form, name);
  if (text === undefined || (text.length <= lengthMax && text.search(unshownOnes) === -1 && shownOne.test(text))) return text;
  throw new BadDeviceRequest("invalid_request", `${name} is to be one line of at most ${lengthMax} characters that can be seen`);
}

/** Undefined for what is empty too. RFC 6749 3.1. */
function only(form: URLSearchParams, name: string): string | undefined {
  const [text, ...more] = form.getAll(name);
  if (more.length > 0) throw new BadDeviceRequest("invalid_request", `${name} is given twice`);
  return text === "" ? undefined : text;
}

function missing(name: string): never {
  throw new BadDeviceRequest("invalid_request", `${name} is missing`);
}

/**
 * What is no letter, mark, digit, sign or space: it ends lines, hides, or turns the order of what stands beside it. And what is one by its class and
 * shows as nothing all the same: fillers, selectors of variants, the braille pattern without a dot.
 */
const unshownOnes = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]|[\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** Marks are shown on something, and spaces between. */
const shownOne = /[\p{L}\p{N}\p{P}\p{S}]/u;
