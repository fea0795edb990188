// Opens an artifact's folder with transformers.js, as a web shop would, and answers texts read as JSON from stdin:
// {"folder", "task", "dtype", "inputs"} to a list with one answer an input. Run: node encode.mjs FOLDER_OF_NODE_MODULES
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const library = createRequire(join(process.argv[2], "here.js")).resolve("@huggingface/transformers");
const { env, pipeline, AutoTokenizer, AutoModelForSequenceClassification } = (await import(pathToFileURL(library)))
  .default;
const { folder, task, dtype, inputs } = JSON.parse(readFileSync(0, "utf-8"));

env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const name = basename(folder);

async function classify() {
  const classifier = await pipeline("text-classification", name, { dtype });
  return Promise.all(inputs.map(async (text) => (await classifier(text, { top_k: null }))));
}

async function tag() {
  const tagger = await pipeline("token-classification", name, { dtype });
  return Promise.all(inputs.map((text) => tagger(text, { ignore_labels: [] })));
}

async function embed() {
  const extractor = await pipeline("feature-extraction", name, { dtype });
  const vector = async (text) => Array.from((await extractor(text, { pooling: "mean", normalize: true })).data);
  return Promise.all(inputs.map(vector));
}

async function scorePairs() {
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const model = await AutoModelForSequenceClassification.from_pretrained(name, { dtype });
  const score = async ([query, doc]) => (await model(tokenizer(query, { text_pair: doc, truncation: true }))).logits.data[0];
  return Promise.all(inputs.map(score));
}

const answer = {
  "sequence-classification": classify,
  "token-classification": tag,
  "sentence-embedding": embed,
  "pair-scoring": scorePairs,
}[task];
console.log(JSON.stringify(await answer()));
