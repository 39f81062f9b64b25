/** Servers come and go while clients pull; `make prove` does it for three minutes. */
import { expect, test } from "vitest";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { runRollingRestart } from "./rolling-restart.ts";

const mebibyte = 1024 * 1024;
const canRun = requirePrograms("nginx", "skopeo", "podman", "containerd", "ctr") && requireRoot();

test.runIf(canRun)(
  "two servers on one folder, restarted in turn behind nginx, fail no pull of skopeo, podman and ctr",
  async () => {
    const { failures, pulls, exitCodes } = await runRollingRestart({ durationMs: 12_000, imageBytes: 8 * mebibyte, upstreamBytesPerSecond: 16 * mebibyte });
    expect(failures).toEqual([]);
    expect(Object.keys(pulls).sort()).toEqual(["ctr", "podman", "skopeo"]);
    expect(exitCodes.length).toBeGreaterThan(1);
    expect(new Set(exitCodes)).toEqual(new Set([0]));
  },
  90_000,
);
