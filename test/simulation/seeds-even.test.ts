import { test } from "vitest";
import { runEverySecond, TIMEOUT_MS } from "./seeds.js";

test("no history of an even seed breaks a rule", () => runEverySecond(2), TIMEOUT_MS);
