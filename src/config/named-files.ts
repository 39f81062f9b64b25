/** The files that a configuration names: certificates, keys, passwords. Loading a configuration reads none of them; serving does. */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import type { Config, EndpointConfig, SecretSource } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { Secret } from "../oci/secret.ts";

export interface NamedFile {
  /** The key that names it: `registries[0].tls.ca`. */
  readonly key: string;
  readonly path: string;
}

/** PEM texts. */
export interface TlsTexts {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

type NamingConfig = Pick<Config, "registries" | "serverTls">;

const namedFileBytesMax = 1_048_576;

/** Every file that the configuration names, whether it exists or not. */
export function namedFiles({ registries, serverTls }: NamingConfig): readonly NamedFile[] {
  const upstreamFiles = credentialOwners({ registries }).flatMap(({ key, owner: { auth, tls } }) => [
    ...pemFiles(`${key}.tls`, tls),
    ...(auth?.password.kind === "file" ? [{ key: `${key}.auth.passwordFile`, path: auth.password.path }] : []),
  ]);
  return [...pemFiles("serverTlsConfig", serverTls), ...upstreamFiles];
}

/** One line for each thing that the configuration names and that is not there: files that cannot be read, variables that are empty. */
export async function findMissing(config: NamingConfig, environment: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const files = namedFiles(config).map(async ({ key, path }) => {
    try {
      await access(path, constants.R_OK);
      return [];
    } catch (error) {
      return [`${key}: cannot read ${path}: ${reasonOf(error)}`];
    }
  });
  const variables = credentialOwners(config).flatMap(({ key, owner: { auth } }) =>
    auth?.password.kind === "environment" && !environment[auth.password.variable]
      ? [`${key}.auth.passwordFromEnv: the environment has no ${auth.password.variable}`]
      : [],
  );
  return [...(await Promise.all(files)).flat(), ...variables];
}

/** The secret itself. A file's last line break is not part of it. Throws `ConfigError` when there is none: the file or variable is missing or empty. */
export async function readSecret(source: SecretSource, environment: NodeJS.ProcessEnv): Promise<Secret> {
  if (source.kind === "given") return source.secret;
  if (source.kind === "environment") {
    const value = environment[source.variable];
    if (!value) throw new ConfigError([`passwordFromEnv: the environment has no ${source.variable}`]);
    return new Secret(value);
  }
  const text = (await readNamedFile("passwordFile", source.path)).replace(/\r?\n$/, "");
  if (text === "") throw new ConfigError([`passwordFile: ${source.path} is empty`]);
  return new Secret(text);
}

/** The PEM texts of the files that are named. Throws `ConfigError` for one that cannot be read. */
export async function readTlsTexts(tls: {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}): Promise<TlsTexts> {
  const read = async (key: string, path: string | undefined): Promise<string | undefined> => (path === undefined ? undefined : readNamedFile(key, path));
  const [ca, cert, key] = await Promise.all([read("tls.ca", tls.ca), read("tls.cert", tls.cert), read("tls.key", tls.key)]);
  return { ca, cert, key };
}

/** Registries and their mirrors: all that may have a credential and files for TLS. */
function credentialOwners({
  registries,
}: Pick<Config, "registries">): readonly { readonly key: string; readonly owner: Pick<EndpointConfig, "auth" | "tls"> }[] {
  return registries.flatMap((registry, index) => {
    const key = `registries[${index}]`;
    return [{ key, owner: registry }, ...registry.endpoints.map((endpoint, at) => ({ key: `${key}.endpoints[${at}]`, owner: endpoint }))];
  });
}

function pemFiles(
  key: string,
  tls: { readonly ca: string | undefined; readonly cert: string | undefined; readonly key: string | undefined } | undefined,
): NamedFile[] {
  if (!tls) return [];
  return (["ca", "cert", "key"] as const).flatMap((name) => {
    const path = tls[name];
    return path === undefined ? [] : [{ key: `${key}.${name}`, path }];
  });
}

async function readNamedFile(key: string, path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new ConfigError([`${key}: cannot read ${path}: ${reasonOf(error)}`], { cause: error });
  });
  if (text.length > namedFileBytesMax) throw new ConfigError([`${key}: ${path} holds ${text.length} characters: at most ${namedFileBytesMax}`]);
  return text;
}

/** Why a file could not be read, in words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error && "code" in error)) return String(error);
  if (error.code === "ENOENT") return "no such file";
  if (error.code === "EACCES") return "permission denied";
  if (error.code === "EISDIR") return "it is a folder";
  return String(error.code);
}
