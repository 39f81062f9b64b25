/** ConfigError: a configuration that cannot be used, with every reason that was found, each a line that says where. */

export interface ConfigErrorOptions extends ErrorOptions {
  /** Only the command line is to blame. */
  readonly isMisuse?: boolean;
}

export class ConfigError extends Error {
  /** One line each: `config.yaml:12: unknown key ...`. Without secrets. */
  readonly problems: readonly string[];
  readonly isMisuse: boolean;

  constructor(problems: readonly string[], { cause, isMisuse = false }: ConfigErrorOptions = {}) {
    const lines = problems.map(printable);
    super(lines.join("; "), { cause });
    this.name = "ConfigError";
    this.problems = lines;
    this.isMisuse = isMisuse;
  }
}

/** What a file says may hold line breaks, or sequences that steer a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => (character === "\n" ? "\\n" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`));
}
