import { expect, test } from "vitest";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { runAirGap } from "./air-gap.ts";

const canRun = requirePrograms("docker-registry", "skopeo", "podman", "containerd", "ctr") && requireRoot();

test.runIf(canRun)(
  "images go over the gap whole, and later only what is new; podman, ctr and skopeo pull them with the first side gone",
  { timeout: 300_000 },
  async () => {
    const round = await runAirGap({ images: 4, changed: 2, layerBytes: 150_000 });
    expect(round.pulled).toEqual({ skopeo: 4, podman: 4, ctr: 4 });
    expect(round.pulledChanged).toEqual({ skopeo: 2, podman: 2, ctr: 2 });
    expect(round.signatures).toBe(2);
    expect(round.secondBundleBytes - round.newBytes).toBeLessThan(64 * 1024);
  },
);
