/**
 * The embedded policy's tokenizer: how texts are cut, which pieces are one token whatever the
 * corpus, and the chat template. An action `/setblock 3 4 0 stone\n` is two tokens, the column and
 * then the cell with its block, and a prompt column ` 3=#...#` is two, so that reading one column
 * of the target answers one choice. An action `/fill 0 1 0 4 1 2 planks\n` is a token for each
 * word, as in the prompt. Any other text falls back to words, numbers and bytes.
 */
import { HOUSE_BLOCKS } from "../../shared/environments/minecraft/house_build/paper_houses.ts";
import { type TokenizerJson, trainByteLevelBpe } from "./bpe.ts";

export const PAD = "<|pad|>";
export const BOS = "<|bos|>";
export const EOS = "<|eos|>";
/** Ids 0, 1, 2. */
export const SPECIAL_TOKENS = [PAD, BOS, EOS] as const;

/** 3 special tokens, 256 bytes, and merges for the grammar below, then for the corpus. */
export const VOCAB_SIZE = 576;

/**
 * First match wins; each alternative takes time linear in the text. Classes are spelled out so
 * that they mean the same to every regular-expression engine.
 */
export const PATTERN = [
  String.raw`/setblock [0-9]{1,2}(?![0-9])`, // an action up to its x
  String.raw`(?<![0-9] [0-9]) [0-9]{1,2} 0 [a-z_]+\n`, // y, z and block end an action
  String.raw`/fill(?!\p{L})|/kill\n`, // actions of HouseBuild
  String.raw` (?:[a-z]+_[a-z_]+|obsidian|planks)\n`, // a block ends a rectangle
  String.raw` [0-9]{1,2}=`, // label of a target column
  String.raw`[#.]{5}(?![#.])`, // cells of a target column
  String.raw` r-?[0-9]\.[0-9](?![0-9])`, // reward of the turn before
  String.raw`(?:t| a)[0-9](?![0-9\p{L}])`, // turn, agent
  String.raw`\n`,
  String.raw` ?\p{L}+`, // words
  String.raw` ?\p{N}{1,2}`, // numbers
  String.raw` ?[^\p{White_Space}\p{L}\p{N}]+`, // punctuation
  String.raw`\p{White_Space}+(?!\P{White_Space})`, // spaces but the one that a word takes
  String.raw`\p{White_Space}+`,
].join("|");

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
/** Columns of a wall of four letters: wider ones are spelled in digits. */
const COLUMNS = 26;

/** Pieces of the action grammar and of the compact prompt that are one token each. */
export const REQUIRED_PIECES: readonly string[] = [
  ...upTo(COLUMNS).map((x) => `/setblock ${x}`),
  ...upTo(10).map((y) => ` ${y}`),
  ...["oak_planks", "stone", "white_concrete", "obsidian"].flatMap((block) =>
    upTo(5).map((y) => ` ${y} 0 ${block}\n`)
  ),
  ...upTo(COLUMNS).map((x) => ` ${x}=`),
  ...upTo(32).map((bits) => upTo(5).map((cell) => (bits >> cell) & 1 ? "#" : ".").join("")),
  "/fill",
  "/kill\n",
  ...HOUSE_BLOCKS.map((block) => ` ${block}\n`),
  ...upTo(4).map((turn) => `t${turn + 1}`),
  " a1",
  " a2",
  ...upTo(51).map((tenths) => ` r${(tenths / 10 - 3).toFixed(1)}`), // −3.0 to 2.0
];

/** Fills the vocabulary with common syllables when the corpus is the action grammar alone. */
const GENERAL_TEXT = `
There is a team of two agents, and each of them has some blocks to place. The first one reads the
target, then it writes the actions for its part; the other one does the same with what is left.
They are not able to see each other, so both have to learn in which cells the other will build.
When all the blocks are there, the score is the sum of the points that were given for this turn.
{"agent": "first", "blocks": ["stone", "obsidian"], "score": 1.5, "done": true}
def reward(cells, target):
    return sum(1 for cell in cells if cell in target) / len(target)
`;

/**
 * Messages as plain text, one after the other, each from its own line: what the policy was
 * trained on. The line break before the answer is the generation prompt.
 */
export const CHAT_TEMPLATE = "{{ bos_token }}{% for message in messages %}" +
  "{{ message['content'] }}" +
  "{% if (add_generation_prompt or not loop.last) and not message['content'].endswith('\\n') %}" +
  "{{ '\\n' }}{% endif %}{% endfor %}";

/** tokenizer.json of the embedded policy: BOS begins a text; merges beyond the grammar from `texts`. */
export function buildTokenizer(texts: Iterable<string>): TokenizerJson {
  const tokenizer = trainByteLevelBpe([...texts, GENERAL_TEXT], {
    vocabSize: VOCAB_SIZE,
    pattern: PATTERN,
    specialTokens: SPECIAL_TOKENS,
    required: REQUIRED_PIECES,
  });
  const bos = { SpecialToken: { id: BOS, type_id: 0 } };
  const sequence = (id: "A" | "B", type_id: number) => ({ Sequence: { id, type_id } });
  return {
    ...tokenizer,
    post_processor: {
      type: "TemplateProcessing",
      single: [bos, sequence("A", 0)],
      pair: [bos, sequence("A", 0), sequence("B", 1)],
      special_tokens: {
        [BOS]: { id: BOS, ids: [SPECIAL_TOKENS.indexOf(BOS)], tokens: [BOS] },
      },
    },
  };
}
