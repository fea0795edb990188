// Tokenises as an artifact's texts are in Node and in a page: {"tokenizer", "most", "special", "texts", "pairs", "words"}
// read as JSON from stdin to {"texts", "pairs", "words"}, lists of [ids, type ids, words]. Run: node tokenize.mjs MODULES
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { openTokenizer } from "../../bench/web/tokens.mjs";

const library = join(process.argv[2], "node_modules", "@huggingface", "tokenizers", "dist", "tokenizers.min.mjs");
const { Tokenizer } = await import(pathToFileURL(library));
const { tokenizer, most, special, texts, pairs, words } = JSON.parse(readFileSync(0, "utf-8"));

const open = openTokenizer(Tokenizer, JSON.parse(readFileSync(tokenizer, "utf-8")), { most, special });
open.learnWords(words);
const plain = ({ ids, typeIds, words = [] }) => [ids, typeIds, words];
console.log(
  JSON.stringify({
    texts: texts.map((text) => plain(open.one(text))),
    pairs: pairs.map(([first, second]) => plain(open.pair(first, second))),
    words: words.map((text) => plain(open.withWords(text))),
  }),
);
