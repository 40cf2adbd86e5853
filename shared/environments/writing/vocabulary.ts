/**
 * Distinct words of two texts and what they share, without a string per word: words are places in
 * the texts, in a hash table whose seed is drawn by each process, so that no text can be written
 * to collide. Sets of strings give the same numbers, at less than half of the speed.
 */
import { isWordAt } from "../python_text.ts";

/** Numbers of distinct words: runs of letters, digits and underscores. */
export interface Vocabularies {
  first: number;
  second: number;
  /** Without stopwords. */
  firstContent: number;
  secondContent: number;
  /** Content words in both texts. */
  common: number;
}

const SEED = crypto.getRandomValues(new Int32Array(1))[0]!;
/** Flags of a word. */
const FIRST = 1, SECOND = 2, STOPWORD = 4;
/** Words that a table made once has room for. */
const USUAL = 1024;

/** Words by number, and where their numbers are found by hash. */
class Table {
  /** Number of a word + 1; 0 for a free slot. At most half of them are taken. */
  readonly slots: Int32Array;
  readonly hashes: Int32Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly flags: Uint8Array;
  count = 0;

  constructor(most: number) {
    this.slots = new Int32Array(1 << (32 - Math.clz32(2 * most - 1)));
    this.hashes = new Int32Array(most);
    this.starts = new Int32Array(most);
    this.ends = new Int32Array(most);
    this.flags = new Uint8Array(most);
  }

  clear(): this {
    this.slots.fill(0);
    this.count = 0;
    return this;
  }
}

const usual = new Table(USUAL);

/** Compares the words of two lower-case texts. */
export function compareVocabularies(
  first: string,
  second: string,
  stopwords: ReadonlySet<string>,
): Vocabularies {
  // A word and what ends it take two units at least.
  const most = (first.length + second.length + 2) >> 1;
  const table = most <= USUAL ? usual.clear() : new Table(most);
  addWords(table, first, first, FIRST, stopwords);
  addWords(table, second, first, SECOND, stopwords);
  const found = { first: 0, second: 0, firstContent: 0, secondContent: 0, common: 0 };
  for (let word = 0; word < table.count; word++) {
    const flag = table.flags[word]!;
    const content = flag < STOPWORD ? 1 : 0;
    if (flag & FIRST) found.first++, found.firstContent += content;
    if (flag & SECOND) found.second++, found.secondContent += content;
    if ((flag & FIRST) && (flag & SECOND)) found.common += content;
  }
  return found;
}

function addWords(
  table: Table,
  text: string,
  first: string,
  flag: number,
  stopwords: ReadonlySet<string>,
): void {
  let start = 0, hash = SEED;
  for (let i = 0; i <= text.length; i++) {
    if (i < text.length && isWordAt(text, i)) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x9e3779b1);
      hash ^= hash >>> 15;
      continue;
    }
    if (i > start) addWord(table, text, first, start, i, hash, flag, stopwords);
    start = i + 1;
    hash = SEED;
  }
}

/** Notes the word from `start` to `end`; words met in the first text lie there. */
function addWord(
  table: Table,
  text: string,
  first: string,
  start: number,
  end: number,
  hash: number,
  flag: number,
  stopwords: ReadonlySet<string>,
): void {
  const { slots, hashes, starts, ends, flags } = table;
  const mask = slots.length - 1;
  let slot = hash & mask;
  for (let word = slots[slot]! - 1; word >= 0; word = slots[slot]! - 1) {
    if (
      hashes[word] === hash && ends[word]! - starts[word]! === end - start &&
      sameText(flags[word]! & FIRST ? first : text, starts[word]!, text, start, end)
    ) {
      flags[word]! |= flag;
      return;
    }
    slot = (slot + 1) & mask;
  }
  const word = table.count++;
  slots[slot] = word + 1;
  hashes[word] = hash;
  starts[word] = start;
  ends[word] = end;
  flags[word] = flag | (stopwords.has(text.slice(start, end)) ? STOPWORD : 0);
}

function sameText(a: string, from: number, b: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (a.charCodeAt(from + i - start) !== b.charCodeAt(i)) return false;
  }
  return true;
}
