/**
 * The wall between Python and JavaScript. Compiled Python can act on the world only through the
 * functions it imports, so what is not named here does not exist for a program, whatever it does
 * to Python itself: no JavaScript objects, no foreign functions, no sockets, no writable files.
 * Leaves out the channel, standard streams and memory growth, which channel.ts provides.
 */

/** Imports a program may use as they are: clocks, random bytes, and reading the in-memory files. */
export const ALLOWED: ReadonlySet<string> = new Set([
  "_PyEM_TrampolineCall_JS",
  "_Py_CheckEmscriptenSignals_Helper",
  "__syscall_faccessat",
  "__syscall_fcntl64",
  "__syscall_fstat64",
  "__syscall_getcwd",
  "__syscall_getdents64",
  "__syscall_getuid32_js",
  "__syscall_lstat64",
  "__syscall_newfstatat",
  "__syscall_readlinkat",
  "__syscall_stat64",
  "_gmtime_js",
  "_localtime_js",
  "_mktime_js",
  "_timegm_js",
  "_tzset_js",
  "clock_res_get",
  "clock_time_get",
  "emscripten_date_now",
  "emscripten_get_heap_max",
  "emscripten_get_now",
  "environ_get",
  "environ_sizes_get",
  "fd_fdstat_get",
  "fd_pread",
  "fd_seek",
  "random_get",
]);

/** Error number "operation not permitted" of WASI. */
export const EPERM = 63;
/** Error number "bad file descriptor" of WASI. */
export const EBADF = 8;
/** Error number "failed for good" of name resolution. */
export const EAI_FAIL = -4;
/** Bits of `open` flags that would change a file: write access, create, truncate. */
const CHANGES = 0o1 | 0o2 | 0o100 | 0o1000;

/** A program left the ground it may stand on: its interpreter is given up. */
export class Trap extends Error {}

export type Import = (...parameters: number[]) => unknown;

/** The import `name` behind the wall: as it is, refused with an error number, or a trap. */
export function guarded(name: string, original: Import): Import {
  if (ALLOWED.has(name)) return original;
  if (name === "__syscall_openat") {
    return (folder, path, flags = 0, ...rest) =>
      flags & CHANGES ? -EPERM : original(folder!, path!, flags, ...rest);
  }
  if (name.startsWith("__syscall_")) return () => -EPERM;
  if (name === "getaddrinfo") return () => EAI_FAIL;
  if (name === "fd_pwrite" || name === "fd_sync") return () => EPERM;
  return () => {
    throw new Trap(`used ${name}`);
  };
}
