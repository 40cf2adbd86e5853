/**
 * Live progress of a run on standard error, so that standard output stays for results: one line
 * that rewrites itself on a terminal, plain lines now and then elsewhere.
 * Leaves out what a run does; whoever trains reports a snapshot after each batch.
 */

/** Where a run is. Counts cover what this process has done; `done` and `budget` the whole run. */
export interface Progress {
  /** What is going on, such as `train` or `evaluate`. */
  phase: string;
  /** Joint evaluations so far and in all, and how many of them an earlier process did. */
  done: number;
  budget: number;
  resumed?: number;
  seconds: number;
  episodes: number;
  tokens: number;
  return_mean?: number | undefined;
  value_loss?: number | undefined;
}

/** One line, such as `train 4096/8192 50%  95 episodes/s  21.4K tokens/s  … ETA 0:43`. */
export function formatProgress(progress: Progress): string {
  const { phase, done, budget, resumed = 0, seconds, return_mean, value_loss } = progress;
  const share = budget > 0 ? Math.min(1, done / budget) : 1;
  const rate = (n: number, unit: string) => `${short(seconds > 0 ? n / seconds : 0)} ${unit}/s`;
  const perEvaluation = done > resumed ? seconds / (done - resumed) : NaN;
  return [
    `${phase} ${done}/${budget} ${Math.floor(100 * share)}%`,
    rate(progress.episodes, "episodes"),
    rate(progress.tokens, "tokens"),
    ...(return_mean === undefined ? [] : [`return ${return_mean.toFixed(2)}`]),
    ...(value_loss === undefined ? [] : [`value loss ${value_loss.toPrecision(3)}`]),
    `ETA ${clock(Math.max(0, budget - done) * perEvaluation)}`,
  ].join("  ");
}

/** Three significant digits with K, M or G: 7.31, 95.2, 21.4K. */
export function short(value: number): string {
  const units = ["", "K", "M", "G"];
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return value.toFixed(digits) + units[unit];
}

/** Seconds as 0:43, 12:05 or 3:07:00; `?` where nothing is known yet. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [
    Math.floor(whole / 3600),
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  const two = (n: number) => String(n).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Where progress goes. */
export interface ProgressOutput {
  write(text: string): void;
  /** Width of the terminal in columns; `null` where lines stay. */
  columns(): number | null;
  /** Seconds of a steady clock. */
  now(): number;
}

/** Shows snapshots as they come; `done` leaves the last one standing. */
export interface ProgressLine {
  update(progress: Progress): void;
  /** A line of its own that stays, such as the result of an evaluation. */
  note(text: string): void;
  done(): void;
}

/** Least seconds between two redraws of a terminal's line, and between two plain lines. */
const REDRAW = 0.1;
const PLAIN_LINE = 10;

/** A progress line on `output`, standard error by default. */
export function progressLine(output: ProgressOutput = standardError): ProgressLine {
  let [shown, last, pending] = [-Infinity, "", ""];
  const show = (text: string) => {
    const columns = output.columns();
    if (columns === null) output.write(`${text}\n`);
    else output.write(`\r\x1b[2K${text.slice(0, Math.max(1, columns - 1))}`);
    [shown, last, pending] = [output.now(), text, ""];
  };
  const flush = () => {
    if (pending !== "") show(pending);
    if (last !== "" && output.columns() !== null) output.write("\n");
    last = "";
  };
  return {
    update(progress) {
      const least = output.columns() === null ? PLAIN_LINE : REDRAW;
      pending = formatProgress(progress);
      if (output.now() - shown >= least) show(pending);
    },
    note(text) {
      flush();
      output.write(`${text}\n`);
    },
    done: flush,
  };
}

const encoder = new TextEncoder();

const standardError: ProgressOutput = {
  write: (text) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  },
  columns: () => {
    if (!Deno.stderr.isTerminal()) return null;
    try {
      return Deno.consoleSize().columns;
    } catch {
      // A terminal that does not tell its size.
      return 80;
    }
  },
  now: () => performance.now() / 1000,
};
