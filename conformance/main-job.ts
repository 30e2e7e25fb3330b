import { doMainJob } from "./main-job-story.ts";
import { startRegistry } from "./registry-process.ts";

let registry = await startRegistry();
try {
  const restart = async (): Promise<typeof registry> => {
    const { host, dataDirectory } = registry;
    await registry.stop();
    registry = await startRegistry({ BIND_ADDR: host }, dataDirectory);
    return registry;
  };
  if (!(await doMainJob(registry, restart))) process.exitCode = 1;
} finally {
  await registry.dispose();
}
