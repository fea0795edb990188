// The host in a page: whoever drives the browser calls `mctObey` with a command and gets its answer.
import { createEngine } from "./engine.mjs";

globalThis.mctObey = createEngine({
  async load() {
    const [ort, { Tokenizer }] = await Promise.all([import("./ort.mjs"), import("./tokenizers.mjs")]);
    return { ort, Tokenizer };
  },
  async read(name) {
    const answer = await fetch(name);
    if (!answer.ok) throw new Error(`${name} could not be fetched: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  },
});
