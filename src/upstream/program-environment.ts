/**
 * Which of our variables a credential program sees: those by which such programs find their clouds, key rings and proxies. Others may
 * hold secrets of ours that are none of its business.
 */

// prettier-ignore
const names: ReadonlySet<string> = new Set([
  // The machine and the user.
  "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ",
  "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
  // Key rings: docker-credential-pass and -secretservice.
  "GNUPGHOME", "PASSWORD_STORE_DIR", "PASSWORD_STORE_GPG_OPTS", "DBUS_SESSION_BUS_ADDRESS",
  // Where docker's own configuration is: docker-credential-gcr and -acr-env look there.
  "DOCKER_CONFIG",
  // Google's libraries, Azure's managed identities.
  "GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET",
  // Ways out of here.
  "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
  "SSL_CERT_FILE", "SSL_CERT_DIR",
]);
const prefixes = ["AWS_", "GOOGLE_", "CLOUDSDK_", "AZURE_"];

/** The part of `environment` that is shown to credential programs. */
export function programEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const shown = Object.entries(environment).filter(([name]) => names.has(name) || prefixes.some((prefix) => name.startsWith(prefix)));
  return Object.fromEntries(shown.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
