// Text to token ids in JavaScript: a checkpoint's own tokenizer.json, run by @huggingface/tokenizers as the library of
// Python runs it. What the package leaves out is here: truncation, a second text that is empty, where words begin.

// Python's white space: Unicode's, and four separators besides; JavaScript's \s differs from both.
const SPACE = "\\p{White_Space}\\u001c-\\u001f";
const WORD = new RegExp(`[^${SPACE}]+`, "gu");
const LED_WORD = new RegExp(`[${SPACE}]*[^${SPACE}]+|[${SPACE}]+$`, "gu");
const LEAD = new RegExp(`^[${SPACE}]*`, "u");
const PROBE = "\u0000text";

/**
 * A tokenizer that truncates to `most` tokens and never pads. `special`: with the tokens that its template puts around
 * a text. What it gives is {ids, typeIds}, from `withWords` also `words`: the place of each white-space word's first
 * token, -1 where it has none or truncation took it; `learnWords` is told before what sort of texts it will be asked.
 */
export function openTokenizer(Tokenizer, json, { most, special }) {
  const tokenizer = new Tokenizer(json, {});
  const [one, two] = [joined(tokenizer, [PROBE], null, true), joined(tokenizer, [PROBE], [PROBE], true)];
  const roomForOne = Math.max(0, most - (one.tokens.length - 1));
  const roomForTwo = Math.max(0, most - (two.tokens.length - 2));
  const before = one.tokens.indexOf(PROBE);
  const templates = [json.post_processor, ...(json.post_processor?.processors ?? [])];
  const oneSegment = templates.some((each) => each?.type === "RobertaProcessing"); // in which the package sees two
  const finish = (pieces) => finished(tokenizer, oneSegment ? { tokens: pieces.tokens } : pieces);
  const ofBytes = JSON.stringify(json.pre_tokenizer ?? null).includes('"ByteLevel"');
  let cutIntoWords = wordCutter(tokenizer, [], ofBytes);

  return {
    learnWords(texts) {
      cutIntoWords = wordCutter(tokenizer, texts, ofBytes);
    },
    one(text) {
      const pieces = tokenizer.encode_text(text).slice(0, special ? roomForOne : most);
      return finish(joined(tokenizer, pieces, null, special));
    },
    pair(first, second) {
      const [left, right] = longestFirst(tokenizer.encode_text(first), tokenizer.encode_text(second), roomForTwo);
      return finish(joined(tokenizer, left, right, true));
    },
    withWords(text) {
      const { pieces, firsts } = cutIntoWords(text);
      const tokens = finish(joined(tokenizer, pieces.slice(0, roomForOne), null, true));
      return { ...tokens, words: firsts.map((at) => (at >= 0 && at < roomForOne ? at + before : -1)) };
    },
  };
}

/** Pieces of one text or two with what the template puts around them. */
function joined(tokenizer, first, second, special) {
  const { post_processor: template } = tokenizer;
  return template === null ? { tokens: [...first, ...(second ?? [])] } : template(first, second, special);
}

function finished(tokenizer, { tokens, token_type_ids: typeIds }) {
  const { added_tokens_map: added, model } = tokenizer;
  const ids = tokens.map((token) => added.get(token)?.id ?? model.tokens_to_ids.get(token) ?? model.unk_token_id);
  return { ids, typeIds: typeIds ?? new Array(ids.length).fill(0) };
}

/** Both cut to `room` together as the library does by "longest first": the longer loses first, then both alike. */
function longestFirst(first, second, room) {
  if (first.length + second.length <= room) return [first, second];
  const shorter = Math.min(first.length, second.length);
  let [less, more] = [shorter, shorter > room ? shorter : Math.max(shorter, room - shorter)];
  if (less + more > room) [less, more] = [Math.floor(room / 2), Math.floor(room / 2) + (room % 2)];
  const [left, right] = first.length > second.length ? [more, less] : [less, more];
  return [first.slice(0, left), second.slice(0, right)];
}

/**
 * A function from a text to its pieces and the first of them for each word. The package tells no offsets, so a text is
 * cut at white space and its words are encoded one by one: bare, or led by the white space before them, whichever gives
 * what the whole text gives on more of `texts`. Byte-level pieces have a character for each byte.
 */
function wordCutter(tokenizer, texts, ofBytes) {
  const bytes = new TextEncoder();
  const size = (space) => (ofBytes ? bytes.encode(space).length : space.length);
  const bare = (text) => gathered(tokenizer, text.match(WORD) ?? [], () => 0);
  const led = (text) => gathered(tokenizer, text.match(LED_WORD) ?? [], (part) => size(LEAD.exec(part)[0]));
  const agreeing = (cut) => texts.filter((text) => same(cut(text).pieces, tokenizer.encode_text(text))).length;
  return texts.length > 0 && agreeing(bare) < texts.length && agreeing(led) > agreeing(bare) ? led : bare;
}

/** The pieces of all parts, and of each part that has a word the first one that reaches beyond what leads it. */
function gathered(tokenizer, parts, leadOf) {
  const [pieces, firsts] = [[], []];
  for (const part of parts) {
    const [own, lead] = [tokenizer.encode_text(part), leadOf(part)];
    let reached = 0;
    const first = own.findIndex((piece) => (reached += piece.length) > lead);
    if (part.match(WORD)) firsts.push(first < 0 ? -1 : pieces.length + first);
    pieces.push(...own);
  }
  return { pieces, firsts };
}

function same(left, right) {
  return left.length === right.length && left.every((piece, at) => piece === right[at]);
}
