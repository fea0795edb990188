// Continues texts with transformers.js, greedily: {"folder", "dtype", "prompts", "tokens"} read as JSON from stdin
// to a list of the new texts. Run: node generate.mjs FOLDER_OF_NODE_MODULES
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const library = createRequire(join(process.argv[2], "here.js")).resolve("@huggingface/transformers");
const { env, pipeline } = (await import(pathToFileURL(library))).default;
const { folder, dtype, prompts, tokens } = JSON.parse(readFileSync(0, "utf-8"));

env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const generator = await pipeline("text-generation", basename(folder), { dtype });
const asked = { max_new_tokens: tokens, do_sample: false, return_full_text: false };

// All prompts at once: they differ in length, so that the shorter ones are padded on the left.
const answers = await generator(prompts, asked);
console.log(JSON.stringify(answers.map(([answer]) => answer.generated_text)));
