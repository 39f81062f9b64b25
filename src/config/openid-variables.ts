/**
 * The variables by which RomM is told of its provider, accepted as they are: they configure the provider `oidc` with no file at all, and
 * win over what a file says of it. `OIDC_ENABLED` decides whether they are looked at.
 */
import type { RawMap } from "./yaml-source.ts";

const keyOf = {
  OIDC_PROVIDER: "name",
  OIDC_CLIENT_ID: "clientid",
  OIDC_CLIENT_SECRET: "clientsecret",
  OIDC_REDIRECT_URI: "redirectUri",
} as const;

const scopes = ["openid", "profile", "email"];

/** `tree` with what the variables say; the same object when they say nothing. */
export function withOpenidVariables(tree: RawMap, environment: NodeJS.ProcessEnv): RawMap {
  if (!["1", "true", "yes", "on"].includes((environment["OIDC_ENABLED"] ?? "").trim().toLowerCase())) return tree;
  const said: Record<string, string> = Object.fromEntries(
    Object.entries(keyOf).flatMap(([variable, key]) => {
      const value = environment[variable]?.trim();
      return value ? [[key, value]] : [];
    }),
  );
  const metadataUrl = metadataUrlOf(environment);
  const auth = mapAt(tree, "auth");
  const openid = mapAt(auth, "openid");
  const providers = mapAt(openid, "providers");
  const written = mapAt(providers, "oidc");
  const { issuer, ...others } = written;
  const address: RawMap = metadataUrl === undefined ? (issuer === undefined ? {} : { issuer }) : { metadataUrl };
  const oidc: RawMap = { scopes, ...others, ...said, ...address };
  return { ...tree, auth: { ...auth, openid: { ...openid, providers: { ...providers, oidc } } } };
}

/** Where the discovery document is: with a slash at the address's end or without, as RomM. */
function metadataUrlOf({ OIDC_SERVER_METADATA_URL: document, OIDC_SERVER_APPLICATION_URL: application }: NodeJS.ProcessEnv): string | undefined {
  if (document?.trim()) return document.trim();
  return application?.trim() ? `${application.trim().replace(/\/+$/, "")}/.well-known/openid-configuration` : undefined;
}

function mapAt(map: RawMap, key: string): RawMap {
  const value = map[key];
  return typeof value === "object" && !Array.isArray(value) ? (value as RawMap) : {};
}
