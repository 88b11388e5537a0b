/**
 * @file Processes of a benchmark that compares programs: each of them loads one, and does a task when it is asked. Between tasks it sleeps in the
 * event loop, so that it takes nothing from the others' turns.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";

/**
 * For the parent: starts a worker and waits until it has loaded. `file`: a module that calls {@link serve}; `options`: for its load function,
 * anything that JSON can say. Gives its settings, and `ask(task, options)`, which answers what the task returned or throws what it threw.
 */
export async function startWorker(name, file, options, { env = process.env, execArgv = [] } = {}) {
  const child = fork(file, [JSON.stringify(options)], { stdio: ["ignore", 2, 2, "ipc"], env, execArgv });
  const gone = new Promise((_, reject) =>
    child.once("exit", (code, signal) => reject(new Error(`${name} ended with ${code ?? signal}`))),
  );
  gone.catch(() => {});
  const answer = async () => {
    const [message] = await Promise.race([once(child, "message"), gone]);
    if (message.error !== undefined) throw new Error(`${name}: ${message.error}`);
    return message;
  };
  const ask = async (task, given) => {
    child.send({ task, given });
    return (await answer()).result;
  };
  try {
    const { settings } = await answer();
    return { name, child, settings, ask };
  } catch (error) {
    if (child.connected) child.disconnect();
    throw error;
  }
}

/**
 * For the child: calls `load` with the options it was started with, says so, and then does one task at a time: the functions of what `load` gave,
 * by name, and "cpuMs", the processor time that the process has had (and `load`'s own `childCpuMs()`, if it has one).
 */
export function serve(load) {
  const loaded = Promise.resolve().then(() => load(JSON.parse(process.argv[2])));
  loaded.then(
    ({ settings }) => process.send({ settings }),
    (error) => process.send({ error: error.message }),
  );
  process.on("message", async ({ task, given }) => {
    try {
      const side = await loaded;
      if (task !== "cpuMs") {
        process.send({ result: await side[task](given) });
      } else {
        const { user, system } = process.cpuUsage();
        process.send({ result: (user + system) / 1000 + ((await side.childCpuMs?.()) ?? 0) });
      }
    } catch (error) {
      process.send({ error: error.message });
    }
  });
}

/**
 * Milliseconds of all cores up to now, and those that went to nobody here: neither to this process nor to one of `workers`. Threads that
 * spin and wait for each other lose far more than what others take, so a ratio from a busy machine says nothing.
 */
export async function processorTime(workers) {
  let all = 0;
  let others = 0;
  for (const { times } of cpus()) {
    const { idle, ...busy } = times;
    const sum = Object.values(busy).reduce((total, ms) => total + ms);
    all += idle + sum;
    others += sum;
  }
  const { user, system } = process.cpuUsage();
  others -= (user + system) / 1000;
  const byWorker = await Promise.all(workers.map(({ ask }) => ask("cpuMs")));
  for (const ms of byWorker) others -= ms;
  return { all, others, byWorker };
}
