/** Misuse: what a flag says makes no sense; nothing has been touched, and the exit code is 2. */
import { ConfigError } from "../config/config-error.ts";

/** To be thrown. `problem` names the flag, what it says, and what it may say. */
export function misuse(problem: string): ConfigError {
  return new ConfigError([problem], { isMisuse: true });
}
