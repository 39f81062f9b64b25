/** SiteAssets: the stylesheet, the script and the icon. Their names change with what is in them, so that browsers may keep them for ever. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { assetsPath } from "./addresses.ts";

export interface Asset {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

export interface SiteAssets {
  readonly stylesheetPath: string;
  readonly scriptPath: string;
  readonly iconPath: string;
  /** What lies at a path of `assetsPath`; undefined: nothing. */
  find(path: string): Asset | undefined;
}

const types = { css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8", svg: "image/svg+xml" } as const;

/** Reads them from beside this file. */
export async function loadAssets(): Promise<SiteAssets> {
  const byPath = new Map<string, Asset>();
  const add = async (name: string, ending: keyof typeof types): Promise<string> => {
    const bytes = await readFile(join(import.meta.dirname, `${name}.${ending}`));
    const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
    const path = `${assetsPath}/${name}-${hash}.${ending}`;
    byPath.set(path, { contentType: types[ending], bytes });
    return path;
  };
  return {
    stylesheetPath: await add("site", "css"),
    scriptPath: await add("site", "js"),
    iconPath: await add("icon", "svg"),
    find: (path) => byPath.get(path),
  };
}
