/**
 * What an environment is: pure functions over JSON values, with PettingZoo-parallel names.
 * A step depends on (task, state, joint action) alone, so any process can take any step. Both may
 * take their time: whoever plays an environment that was chosen at run time awaits it.
 * Leaves out where tasks come from (each environment's splits) and who acts (agents/).
 */

/** One chat message, as chat templates take it. */
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** What one agent sees before it acts on one turn; nothing of any other agent's is in it. */
export interface Observation {
  /** 1-based turn. */
  turn: number;
  /** Plain prompt text: what a policy without a chat template continues. */
  text: string;
  /** The same prompt for chat models; `null` where the prompt style is raw text. */
  messages: ChatMessage[] | null;
}

/** A value per agent, keyed by agent name. */
export type PerAgent<T> = Record<string, T>;

/** One item of a split. */
export interface TaskItem<Task> {
  /** Stable id, unique within the environment: the key of rewards and seeds. */
  id: string;
  task: Task;
}

export interface SplitInfo {
  name: string;
  /** Number of items; `null` when items are generated without end. */
  size: number | null;
  description: string;
}

export interface ResetResult<State> {
  state: State;
  observations: PerAgent<Observation>;
  infos: PerAgent<Record<string, unknown>>;
}

export interface StepResult<State> {
  state: State;
  /** Observations of the next turn; empty when the episode has ended. */
  observations: PerAgent<Observation>;
  rewards: PerAgent<number>;
  terminations: PerAgent<boolean>;
  truncations: PerAgent<boolean>;
  infos: PerAgent<Record<string, unknown>>;
  /** Named parts of the joint reward and metrics such as `iou`, for logs and evaluations. */
  components: Record<string, number>;
}

export interface ScoreResult {
  rewards: PerAgent<number>;
  components: Record<string, number>;
}

/**
 * An environment with its options fixed (checked when it was created).
 * `Task` and `State` are JSON values.
 */
export interface Environment<Task = unknown, State = unknown> {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Agent names in playing order. */
  readonly agents: readonly string[];
  /** Most turns of an episode. */
  readonly turns: number;
  /** Least and greatest joint reward of one turn. */
  readonly rewardRange: readonly [number, number];
  /** The resolved options, as JSON. */
  readonly options: Readonly<Record<string, unknown>>;
  splits(): SplitInfo[];
  /** Item `index` (0-based, wraps nowhere) of a split; generated splits take any index. */
  item(split: string, index: number): TaskItem<Task>;
  /** A task from what a caller gave: an item id of any split, or an inline task object. */
  task(input: unknown): TaskItem<Task>;
  reset(task: Task, seed: number): ResetResult<State> | Promise<ResetResult<State>>;
  /** At once, or later where taking a turn is work for others, such as running a program. */
  step(
    task: Task,
    state: State,
    actions: PerAgent<string>,
  ): StepResult<State> | Promise<StepResult<State>>;
  /** One-turn reward of a joint action, without an episode. */
  score(task: Task, actions: PerAgent<string>): ScoreResult | Promise<ScoreResult>;
  /**
   * Picture of a joint action's result as an SVG document, where the environment has one; of an
   * action on the first turn, unless `state` is that of another one.
   */
  render?(task: Task, actions: PerAgent<string>, title?: string, state?: State): string;
  /**
   * A joint action's result as a file for other programs, such as `schem`, where the environment
   * has one. Rejects with CollmError `not_found` for an unknown format.
   */
  exportAs?(task: Task, actions: PerAgent<string>, format: string): Promise<Uint8Array>;
  /** Tells reading from habit in evaluations, where the environment can. */
  readonly probes?: Probes<Task>;
}

/** An environment that answers at once: most are. */
export interface PureEnvironment<Task = unknown, State = unknown> extends Environment<Task, State> {
  reset(task: Task, seed: number): ResetResult<State>;
  step(task: Task, state: State, actions: PerAgent<string>): StepResult<State>;
  score(task: Task, actions: PerAgent<string>): ScoreResult;
}

export interface Probes<Task> {
  /**
   * Best mean one-turn reward of a team whose actions ignore what a prompt asks for, where it can
   * be computed.
   */
  blindBound?(tasks: readonly Task[]): number;
  /** Whether two tasks look alike from outside, so that their actions can be exchanged. */
  comparable(a: Task, b: Task): boolean;
}
