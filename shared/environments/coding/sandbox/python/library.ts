/**
 * Parts of the standard library, in Python, that the engine would pass to JavaScript, where the wall
 * ends the process: waiting, event loops, foreign functions. Leaves out the wall itself (wall.ts),
 * which holds whatever a program does to these.
 */
export const LIBRARY = String.raw`
import asyncio, asyncio.base_events


def _sleep(seconds):
    """Waits by looking at the clock, which a time limit can interrupt."""
    end = time.perf_counter() + operator.truediv(seconds, 1)
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    while time.perf_counter() < end:
        pass


class _NoInput:
    """In place of a loop's selector: nothing ever comes from outside, so it only waits."""

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("Event loop has nothing left to wait for")
        if timeout > 0:
            _sleep(timeout)
        return []


class _EventLoop(asyncio.base_events.BaseEventLoop):
    """A loop for coroutines without input and output."""

    def __init__(self):
        super().__init__()
        self._selector = _NoInput()

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


class _LoopPolicy(asyncio.events._BaseDefaultEventLoopPolicy):
    _loop_factory = _EventLoop


def _run_coroutine(main, *, debug=None, loop_factory=None):
    with asyncio.Runner(debug=debug, loop_factory=loop_factory or _EventLoop) as runner:
        return runner.run(main)


time.sleep = _sleep
asyncio.run = asyncio.runners.run = _run_coroutine
asyncio.events._set_event_loop_policy(_LoopPolicy())
asyncio.set_event_loop(None)
# The engine's own loop counts as running from its start.
asyncio._set_running_loop(None)
# There is nothing to call; importing it would end the process.
sys.modules["ctypes"] = sys.modules["_ctypes"] = None
`;
