/**
 * WebSocket of one agent: a notice whenever episodes newly wait for it. A notice says where to
 * look, not what is seen: the host reads its observations over HTTP, so a lost notice loses
 * nothing. A stream that cannot read the store is closed, and its host comes back.
 */
import { upgradeWebSocket, z } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import type { Episodes } from "../shared/store/episodes.ts";
import { agentName } from "../shared/wire/fields.ts";
import {
  MOST,
  streamQuery,
  type WaitingNotice,
  waitingNotice,
} from "../shared/wire/observations.ts";
import { parse } from "../shared/wire/parse.ts";
import { requireRun } from "./auth.ts";
import { answers, type Edge, type EdgeApp, episodesOf } from "./edge.ts";

const PATH = "/v1/agents/:agent/stream";

/** Close code of a stream that cannot go on; the codes below 3000 are the protocol's own. */
const CANNOT_READ = 4000;

interface Listener {
  send(notice: WaitingNotice): void;
  close(code: number, reason: string): void;
}

interface Stream {
  /** Looks for what newly waits, now or right after the look under way. */
  look(): void;
  end(): void;
}

export function streamRoutes(app: EdgeApp, edge: Edge): void {
  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/v1/agents/{agent}/stream",
    operationId: "streamWaiting",
    summary: "WebSocket: a message whenever episodes newly wait for an agent",
    tags: ["agents"],
    request: { params: z.object({ agent: agentName }), query: streamQuery },
    responses: {
      101: { description: "Switching to the WebSocket protocol" },
      ...answers(200, "Every message of the server", waitingNotice),
    },
  });

  const streams = createStreams(edge);
  app.get(
    PATH,
    async (c, next) => {
      if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
        throw new CollmError(
          "invalid_request",
          "Cannot open stream: the request is no WebSocket upgrade",
        );
      }
      await next();
    },
    upgradeWebSocket((c) => {
      // Everything of the request is read here: it is gone when the handlers run.
      const agent = c.req.param("agent")!;
      const { run_id = null } = parse(streamQuery, c.req.query(), "the query");
      const run = requireRun(c.get("principal"), agent, run_id);
      const episodes = episodesOf(edge);
      let stream: Stream | undefined;
      return {
        onOpen(_event, socket) {
          stream = createStream(episodes, agent, run, {
            send: (notice) => socket.send(JSON.stringify(notice)),
            close: (code, reason) => socket.close(code, reason),
          }, edge.log);
          streams.add(stream);
        },
        onClose() {
          if (stream) streams.remove(stream);
        },
      };
    }),
  );
}

function createStream(
  episodes: Episodes,
  agent: string,
  run_id: string | null,
  listener: Listener,
  log: (line: string) => void,
): Stream {
  let known = new Set<string>();
  let [looking, again, ended] = [false, false, false];
  const look = async () => {
    again = true;
    if (looking) return;
    looking = true;
    try {
      while (again && !ended) {
        again = false;
        const views = await episodes.pending(agent, run_id, MOST);
        const keyOf = ({ episode_id, turn }: typeof views[number]) => `${turn} ${episode_id}`;
        const fresh = views.filter((view) => !known.has(keyOf(view)));
        known = new Set(views.map(keyOf));
        if (fresh.length > 0 && !ended) {
          const waiting = fresh.map(({ episode_id }) => episode_id);
          listener.send({ type: "waiting", agent, episodes: waiting });
        }
      }
    } catch (error) {
      log(`Stream of agent '${agent}' is closed: ${(error as Error).message}`);
      if (!ended) listener.close(CANNOT_READ, "the edge cannot read its store");
    } finally {
      looking = false;
    }
  };
  return { look: () => void look(), end: () => void (ended = true) };
}

/**
 * The open streams. While there are any they are told of changes: at once of this process's own,
 * by looking at the store every `poll_ms` of those of others.
 */
function createStreams({ episodes, poll_ms = 0, log }: Edge) {
  const streams = new Set<Stream>();
  let stop = () => {};

  function follow(followed: Episodes): () => void {
    const unlisten = followed.onChange(() => streams.forEach((stream) => stream.look()));
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failing = false;
    const poll = async () => {
      try {
        await followed.pollChanges();
        failing = false;
      } catch (error) {
        if (!failing) log(`Cannot follow the store: ${(error as Error).message}`);
        failing = true;
      }
      if (timer !== undefined) timer = setTimeout(poll, poll_ms);
    };
    if (poll_ms > 0) timer = setTimeout(poll, poll_ms);
    return () => {
      unlisten();
      clearTimeout(timer);
      timer = undefined;
    };
  }

  return {
    add(stream: Stream) {
      if (streams.size === 0 && episodes) stop = follow(episodes);
      streams.add(stream);
      stream.look();
    },
    remove(stream: Stream) {
      stream.end();
      if (streams.delete(stream) && streams.size === 0) stop();
    },
  };
}
