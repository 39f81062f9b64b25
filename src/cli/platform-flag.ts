/** `--platform linux/amd64,linux/arm64`, or `all`, as the commands that take images by platform read it. */
import { findPlatform, type Platform } from "../oci/platform.ts";
import { misuse } from "./misuse.ts";

/** Undefined when it is not written. Throws `ConfigError` for a word that names no platform. */
export function platformsOf(flag: string | undefined): readonly Platform[] | "all" | undefined {
  if (flag === undefined) return undefined;
  const words = flag.split(",").map((word) => word.trim());
  if (words.includes("all")) return "all";
  return words.map((word) => {
    const platform = findPlatform(word);
    if (platform) return platform;
    throw misuse(`--platform: "${word}" is not os/arch or os/arch/variant, such as linux/arm64, or all`);
  });
}
