/** The version of this program. */
import { readFileSync } from "node:fs";

/** As in package.json: `1.2.3`. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  if (typeof manifest === "object" && manifest !== null && "version" in manifest && typeof manifest.version === "string") return manifest.version;
  throw new Error("package.json names no version");
}
