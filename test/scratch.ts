import { existsSync } from "node:fs";
import { tmpdir } from "node:os";

/** For thousands of transactions: where there is a file system in memory, none of them need wait for a disk. */
export const SCRATCH = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
