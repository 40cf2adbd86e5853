/**
 * Actions of the long tasks. An agent writes lines, `/say TEXT`, `/move NNE` and the task's own
 * commands with whole numbers, or one JSON object `{"comm","path","probe","gather","cmds"}` that
 * means the same lines. Lines are accepted or rejected one by one; no text is an error.
 * Leaves out what commands do.
 */
import { commandLines } from "../parse.ts";

/** One accepted command of a task. */
export interface GridCommand {
  verb: string;
  numbers: number[];
  /** Word after the numbers, such as a block; empty if the command takes none. */
  word: string;
}

/** What a task lets an agent write: numbers of each verb, words after them, uses per turn. */
export type Verbs = Readonly<
  Record<string, { numbers: number; words?: readonly string[]; most: number }>
>;

export interface GridAction {
  /** Message to the team; empty for none. */
  say: string;
  /** Letters N, E, S, W. */
  path: string;
  commands: GridCommand[];
  accepted: number;
  rejected: { line: string; reason: string }[];
  rejectedCount: number;
}

/** Characters of a message, letters of a path, lines of a text that are read. */
export const MOST = { say: 200, lines: 64 } as const;
const MOST_JSON = 20_000;
const MOST_REPORTED = 20;

/** Reads one agent's text. @param mostSteps Letters that a path may have. */
export function readAction(text: string, verbs: Verbs, mostSteps: number): GridAction {
  const action: GridAction = {
    say: "",
    path: "",
    commands: [],
    accepted: 0,
    rejected: [],
    rejectedCount: 0,
  };
  actionLines(text).forEach((line, index) => {
    const reason = index >= MOST.lines
      ? `more than ${MOST.lines} lines`
      : readLine(line, action, verbs, mostSteps);
    if (reason === null) action.accepted++;
    else {
      action.rejectedCount++;
      if (action.rejected.length < MOST_REPORTED) {
        action.rejected.push({ line: line.slice(0, 100), reason });
      }
    }
  });
  return action;
}

/** Puts a line into the action, or gives the reason why not. */
function readLine(
  line: string,
  action: GridAction,
  verbs: Verbs,
  mostSteps: number,
): string | null {
  const words = line.slice(0, 300).replace(/^\//, "").split(/\s/).filter((word) => word !== "");
  const verb = (words[0] ?? "").toLowerCase();
  if (verb === "say") {
    if (action.say !== "") return "one message a turn";
    action.say = words.slice(1).join(" ").slice(0, MOST.say);
    return action.say === "" ? "empty message" : null;
  }
  if (verb === "move") {
    const path = words.slice(1).join("").toUpperCase();
    if (action.path !== "") return "one move a turn";
    if (!/^[NESW]+$/.test(path)) return "move needs letters N, E, S, W";
    if (path.length > mostSteps) return `at most ${mostSteps} steps a turn`;
    action.path = path;
    return null;
  }
  const rule = Object.hasOwn(verbs, verb) ? verbs[verb]! : undefined;
  if (!rule) return `unsupported command: ${verb.slice(0, 40)}`;
  const length = 1 + rule.numbers + (rule.words ? 1 : 0);
  if (words.length !== length) return `${verb} needs ${length - 1} words`;
  const numbers = words.slice(1, 1 + rule.numbers);
  if (!numbers.every((word) => /^-?[0-9]{1,4}$/.test(word))) return `${verb} needs whole numbers`;
  const word = rule.words ? words[length - 1]! : "";
  if (rule.words && !rule.words.includes(word)) return `not allowed: ${word.slice(0, 40)}`;
  if (action.commands.filter((command) => command.verb === verb).length >= rule.most) {
    return `at most ${rule.most} ${verb} a turn`;
  }
  action.commands.push({ verb, numbers: numbers.map(Number), word });
  return null;
}

function actionLines(text: string): string[] {
  const lines = commandLines(text);
  if (!lines[0]?.startsWith("{")) return lines;
  const body = lines.join("\n");
  return (body.length <= MOST_JSON ? objectLines(body) : undefined) ?? lines;
}

const KEYS = ["comm", "probe", "cmds", "path", "gather"];

/** The lines that a JSON object stands for; nothing if it is none, or holds nothing of an action. */
function objectLines(body: string): string[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const fields = value as Record<string, unknown>;
  // What is no list stands for one line, which is refused with its reason.
  const list = (key: string) => {
    const given = fields[key] ?? [];
    return Array.isArray(given) ? given as unknown[] : [given];
  };
  const cells = (verb: string) =>
    list(verb).map((at) => `/${verb} ${Array.isArray(at) ? at.slice(0, 8).join(" ") : String(at)}`);
  const path = Array.isArray(fields["path"]) ? list("path").join("") : fields["path"];
  if (!KEYS.some((key) => Object.hasOwn(fields, key))) return undefined;
  return [
    ...(fields["comm"] ? [`/say ${String(fields["comm"])}`] : []),
    ...cells("probe"),
    ...list("cmds").map((command) => String(command)),
    ...(path ? [`/move ${String(path)}`] : []),
    ...cells("gather"),
  ].map((line) => line.replaceAll("\n", " "));
}

/** Moves a line that cannot be carried out from the accepted to the rejected ones. */
export function refuse(action: GridAction, line: string, reason: string): [] {
  action.accepted--;
  action.rejectedCount++;
  if (action.rejected.length < MOST_REPORTED) action.rejected.push({ line, reason });
  return [];
}

/** What an agent may know of how its own text was read. */
export function actionInfo({ accepted, rejected, rejectedCount }: GridAction) {
  return { accepted_lines: accepted, rejected_lines: rejectedCount, rejected };
}
