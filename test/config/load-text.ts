/** Loads a configuration from its text, as a file of its own called config.yaml. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../../src/config/config-error.ts";
import { loadConfig, type LoadedConfig } from "../../src/config/load.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface LoadTextOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
}

export async function loadText(text: string, { environment = {}, flags = {} }: LoadTextOptions = {}): Promise<LoadedConfig> {
  await using folder = await temporaryFolder();
  const configFile = join(folder.path, "config.yaml");
  await writeFile(configFile, text);
  return await loadConfig({ environment, flags: new Map(Object.entries({ configFile, ...flags })) });
}

/** What is wrong with `text`, each line without the folder; empty when nothing is. */
export async function problemsOf(text: string, options?: LoadTextOptions): Promise<readonly string[]> {
  try {
    await loadText(text, options);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(withoutFolder);
    throw error;
  }
}

export function withoutFolder(line: string): string {
  return line.replace(/^.*\/config\.yaml/, "config.yaml");
}
