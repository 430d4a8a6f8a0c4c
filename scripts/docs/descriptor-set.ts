import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../cookbook/tools.js";

/** The descriptor set of proto/, with its comments. @throws Error where it does not compile. */
export async function buildDescriptorSet(root: string): Promise<Uint8Array> {
  const scratch = await mkdtemp(join(tmpdir(), "tercet-docs-"));
  try {
    const file = join(scratch, "set.binpb");
    await run(join(root, "node_modules", ".bin", "buf"), ["build", root, "--as-file-descriptor-set", "--output", file]);
    return await readFile(file);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
