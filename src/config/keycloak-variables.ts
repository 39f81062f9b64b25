/**
 * The variables by which Keycloak's "docker-v2" installation pages configure a registry, accepted as they are. They say what
 * `auth.bearer` says, and win over it.
 */
import type { RawMap } from "./yaml-source.ts";

const keyOf = {
  REGISTRY_AUTH_TOKEN_REALM: "realm",
  REGISTRY_AUTH_TOKEN_SERVICE: "service",
  REGISTRY_AUTH_TOKEN_ISSUER: "issuer",
  REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: "cert",
} as const;

/** `tree` with what the variables say; the same object when they say nothing. Where they name no key, Keycloak's own key set is asked. */
export function withKeycloakVariables(tree: RawMap, environment: NodeJS.ProcessEnv): RawMap {
  const said = Object.fromEntries(Object.entries(keyOf).flatMap(([variable, key]) => (environment[variable] ? [[key, environment[variable]]] : []))) as Record<
    string,
    string
  >;
  if (Object.keys(said).length === 0) return tree;
  const auth = mapAt(tree, "auth");
  const bearer: RawMap = { ...mapAt(auth, "bearer"), ...said };
  const issuer = typeof bearer["issuer"] === "string" ? bearer["issuer"] : undefined;
  const hasKeys = "cert" in bearer || "jwksUri" in bearer;
  const jwksUri =
    !hasKeys && issuer !== undefined && /\/realms\/[^/]+\/?$/.test(issuer) ? `${issuer.replace(/\/$/, "")}/protocol/openid-connect/certs` : undefined;
  return { ...tree, auth: { ...auth, bearer: { ...bearer, ...(jwksUri === undefined ? {} : { jwksUri }) } } };
}

function mapAt(map: RawMap, key: string): RawMap {
  const value = map[key];
  return typeof value === "object" && !Array.isArray(value) ? (value as RawMap) : {};
}
