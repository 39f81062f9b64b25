/** Commands that look at everything, on some hundred manifests; `make prove holdings` has a hundred thousand, and the times. */
import { expect, test } from "vitest";
import { runListed } from "./many-listed.ts";

test("every image of a large repository and of many small ones is listed, in any order, while a server answers", async () => {
  const commands = ["list", "list --sort used", "list --json"];
  const { commands: ran } = await runListed({ manifests: 600, inOneRepository: 300, commands, calmMs: 200, perSecond: 50 });
  // Every tenth of the planted manifests refers to another, and belongs to its image.
  expect(ran.map(({ command, code, lines }) => ({ command, code, lines }))).toEqual(commands.map((command) => ({ command, code: 0, lines: 540 })));
}, 120_000);
