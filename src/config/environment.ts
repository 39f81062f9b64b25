/** The `OCIREGISTRY_*` variables: each top-level key that one text can say, in SCREAMING_SNAKE_CASE. */

export interface EnvironmentValues {
  /** By key. A variable that is empty sets nothing. */
  readonly values: ReadonlyMap<string, string>;
  /** Variables with our prefix that mean nothing to us. */
  readonly unknown: readonly string[];
}

const prefix = "OCIREGISTRY_";
/** What Kubernetes gives every pod for a service called ociregistry, or one whose name begins so. */
const serviceLinks = /^OCIREGISTRY_(?:.*_)?(?:SERVICE_(?:HOST|PORT)(?:_.*)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)$/;
const serviceLinkValue = /^(?:tcp|udp|sctp):\/\//;

/** `pullTimeout` is `OCIREGISTRY_PULL_TIMEOUT`. */
export function variableOf(key: string): string {
  return prefix + key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** What the environment says of `keys`. Never throws. */
export function readEnvironment(environment: NodeJS.ProcessEnv, keys: readonly string[]): EnvironmentValues {
  const keyOf = new Map(keys.map((key) => [variableOf(key), key]));
  const values = new Map<string, string>();
  const unknown: string[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(prefix) || !value || isKubernetesOwn(variable, value)) continue;
    const key = keyOf.get(variable);
    if (key !== undefined) values.set(key, value);
    if (key === undefined) unknown.push(variable);
  }
  return { values, unknown };
}

function isKubernetesOwn(variable: string, value: string): boolean {
  return (
    serviceLinks.test(variable) ||
    variable.startsWith(`${prefix}SERVICE_`) ||
    variable.startsWith(`${prefix}PORT_`) ||
    (variable.endsWith("_PORT") && serviceLinkValue.test(value))
  );
}
