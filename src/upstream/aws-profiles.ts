/**
 * Profiles of AWS's shared files, as far as it takes to find one's region, and to say what is wrong with it. The SDK reads them by
 * itself; but when the profile that was asked for is not there it goes on to whatever else it finds, and would pull as somebody whom
 * nobody meant.
 */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

export interface AwsProfiles {
  /** Where they were looked for, as people write it: `~/.aws/config`. */
  readonly files: readonly string[];
  /** By name, which is case-sensitive. */
  readonly names: ReadonlyMap<string, AwsProfile>;
}

export interface AwsProfile {
  /** It says where credentials come from, and not only a region and the like. */
  readonly hasCredentials: boolean;
  /** The SDK remembers what it read of this until the process ends. */
  readonly region: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface MutableProfile {
  hasCredentials: boolean;
  region: string | undefined;
}

const fileBytesMax = 1 << 20;
const credentialKeys: ReadonlySet<string> = new Set([
  "aws_access_key_id",
  "credential_process",
  "credential_source",
  "login_session",
  "role_arn",
  "sso_account_id",
  "sso_session",
  "sso_start_url",
  "web_identity_token_file",
]);

/** Reads both files. One that cannot be read counts as empty, as it does for the SDK. */
export async function readAwsProfiles(environment: Environment): Promise<AwsProfiles> {
  const home = environment["HOME"] || homedir();
  const config = environment["AWS_CONFIG_FILE"] || join(home, ".aws", "config");
  const credentials = environment["AWS_SHARED_CREDENTIALS_FILE"] || join(home, ".aws", "credentials");
  const names = new Map<string, MutableProfile>();
  collect(await textOf(config, home), /^\[\s*(?:default|profile\s+(["']?)(.+?)\1)\s*\]$/, names);
  collect(await textOf(credentials, home), /^\[\s*()(.+?)\s*\]$/, names);
  return { files: [config, credentials].map((file) => (file.startsWith(`${home}/`) ? `~${file.slice(home.length)}` : file)), names };
}

function collect(text: string, section: RegExp, into: Map<string, MutableProfile>): void {
  let current: MutableProfile | undefined;
  for (const line of text.split(/\r?\n/)) {
    const plain = (line.split(/(?:^|\s)[;#]/, 1)[0] ?? "").trim();
    if (plain.startsWith("[")) {
      const match = section.exec(plain);
      const name = match ? (match[2] ?? "default") : undefined;
      current = name === undefined ? undefined : (into.get(name) ?? { hasCredentials: false, region: undefined });
      if (name !== undefined && current) into.set(name, current);
    } else if (current) {
      const [key, value] = plain.split(/\s*=\s*/, 2);
      if (credentialKeys.has(key ?? "")) current.hasCredentials = true;
      if (key === "region" && value !== undefined && value !== "") current.region = value;
    }
  }
}

async function textOf(file: string, home: string): Promise<string> {
  const path = file.startsWith("~/") ? join(home, file.slice(2)) : file;
  try {
    const { size } = await stat(path);
    return size > fileBytesMax ? "" : await readFile(path, "utf8");
  } catch {
    // Absent, a folder, or not ours to read: nothing is in it, and the line that says so names the file.
    return "";
  }
}
