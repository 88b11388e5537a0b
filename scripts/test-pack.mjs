/**
 * @file The package as users get it: packs it, looks at what is in it, installs it into an empty folder and generates through
 * the library and the command line, with the engine that it carries and with one that is built there. Needs `npm run build:ts` and
 * `npm run prebuild` first, and a C compiler.
 *
 *   npm run test:pack [-- --node COMMAND]...
 *
 * `--node` names further programs to run the installed package with: another version of Node, or one for another platform, such
 * as "qemu-aarch64-static -L /usr/aarch64-linux-gnu ./node-arm64". All must give the same text.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dirname, "..");
const { values } = parseArgs({ options: { node: { type: "string", multiple: true, default: [] } } });
const nodes = [[process.execPath], ...values.node.map((words) => words.split(" ").filter(Boolean))];
const app = mkdtempSync(join(tmpdir(), "espalier-pack-"));
const installed = join(app, "node_modules", "espalier");
const prompt = "Once upon a time";
const cli = join(installed, "dist", "cli", "main.js");
const ask = ["generate", "--prompt", prompt, "--max-tokens", "24", "--json"];

try {
  const { filename, files, size } = pack();
  checkFiles(files.map(({ path }) => path));
  writeFileSync(join(app, "package.json"), JSON.stringify({ private: true, type: "module" }));
  run(["npm", "install", join(app, filename)]);
  console.log(`packed: ${files.length} files, ${(size / 2 ** 20).toFixed(1)} MiB; installs without scripts`);
  checkTypes();
  const texts = nodes.map((node) => {
    const { platform, text } = generate(node);
    console.log(`${platform}: the library and the command line give the same text, drafted and plain`);
    return text;
  });
  assert.equal(new Set(texts).size, 1, "every Node gives the same text");
  console.log(JSON.stringify(prompt + texts[0]));
  buildThere(texts[0]);
} finally {
  rmSync(app, { recursive: true, force: true });
}

function pack() {
  const [packed] = JSON.parse(
    run(["npm", "pack", "--json", "--pack-destination", app], { cwd: root }).stdout,
  );
  return packed;
}

/** All that is needed and nothing else. */
function checkFiles(paths) {
  const list = (folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) =>
      path.replaceAll("\\", "/"),
    );
  const modules = list("src")
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => `dist/${path.slice(0, -".ts".length)}`);
  const platforms = ["linux-x64", "linux-arm64"].flatMap((name) => [name, `${name}-musl`]);
  const expected = [
    ...["LICENSE", "README.md", "package.json"],
    ...modules.flatMap((path) => [`${path}.js`, `${path}.d.ts`]),
    ...list("models")
      .filter((path) => /\.gguf$|README\.md$/.test(path))
      .map((path) => `models/${path}`),
    ...list("native")
      .filter((path) => /^[^/]+\.[ch]$/.test(path))
      .map((path) => `native/${path}`),
    ...["build-native.mjs", "native-sources.mjs"].map((name) => `scripts/${name}`),
    ...["zig", "mingw-w64"].map((name) => `prebuilds/LICENSE-${name}.txt`),
    ...[...platforms, "darwin-x64", "darwin-arm64", "win32-x64"].map(
      (name) => `prebuilds/${name}/espalier.node`,
    ),
  ];
  const help = "the package's files; after `npm run prebuild`, and `npm run build:ts` into an empty dist/";
  assert.deepEqual(paths.toSorted(), expected.toSorted(), help);
  for (const path of paths.filter((path) => /\.(js|ts)$/.test(path))) {
    assert.doesNotMatch(
      readFileSync(join(root, path), "utf8"),
      /sourceMappingURL/,
      `${path} names a source map`,
    );
  }
}

/** Somebody's TypeScript, in each way that it may look for types, with every declaration checked. */
function checkTypes() {
  const source = `import { EspalierError, loadModel, type GenerateStats } from "espalier";
import { languageModel } from "espalier/ai-sdk";
export async function ask(): Promise<string> {
  await using model = await loadModel("espalier-tiny");
  const { content } = await languageModel(model).doGenerate({ prompt: [{ role: "user", content: "x" }] });
  return content.map(({ text }) => text).join("");
}
export async function tell(): Promise<GenerateStats | undefined> {
  await using model = await loadModel("espalier-tiny");
  for await (const event of model.generate({ prompt: "x", maxTokens: 1 })) if (event.type !== "text") return event.stats;
  throw new EspalierError("bad-model", "no end");
}
`;
  for (const [module, resolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    writeFileSync(join(app, "user.ts"), source);
    const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom"];
    run([
      process.execPath,
      join(root, "node_modules/typescript/bin/tsc"),
      ...options,
      ...["--module", module, "--moduleResolution", resolution, "--types", "", "user.ts"],
    ]);
  }
  console.log("types: whole, for nodenext and bundler");
}

/** Generates in every way with one Node; all must agree. */
function generate(node) {
  const library = `
    import { loadModel } from "espalier";
    import { platformName } from "./node_modules/espalier/dist/engine/native-file.js";
    const model = await loadModel("espalier-tiny");
    const texts = {};
    for (const method of ["plain", model.defaultMethod]) {
      texts[method] = "";
      for await (const event of model.generate({ prompt: ${JSON.stringify(prompt)}, maxTokens: 24, method })) {
        if (event.type === "text") texts[method] += event.text;
      }
    }
    await model[Symbol.asyncDispose]();
    console.log(JSON.stringify({ texts, platform: "Node " + process.version + ", " + platformName() }));
  `;
  writeFileSync(join(app, "library.mjs"), library);
  const names = `[require("espalier").loadModel, require("espalier/ai-sdk").languageModel]`;
  writeFileSync(join(app, "library.cjs"), `console.log(${names}.map((value) => typeof value).join(" "))`);
  const { texts, platform } = JSON.parse(run([...node, "library.mjs"]).stdout);
  assert.equal(run([...node, "library.cjs"]).stdout.trim(), "function function", "require() works as well");
  const written = JSON.parse(run([...node, cli, ...ask]).stdout).text;
  const all = [...Object.values(texts), written];
  assert.equal(all.length, 3);
  assert.ok(written.length > 20, `a text: ${JSON.stringify(written)}`);
  assert.equal(new Set(all).size, 1, `${platform}: ${JSON.stringify(all)}`);
  return { platform, text: written };
}

/** Where the package has no engine it says how to build one, and that works. */
function buildThere(text) {
  rmSync(join(installed, "prebuilds"), { recursive: true });
  const { stderr } = run([process.execPath, cli, ...ask], { fails: true });
  const command = /there is no engine for .* with `node ([^`]+)`/.exec(stderr)?.[1];
  assert.ok(command, `it says how to build an engine: ${stderr}`);
  run([process.execPath, command]);
  assert.equal(JSON.parse(run([process.execPath, cli, ...ask]).stdout).text, text);
  console.log("without a carried engine: says how to build one, and that gives the same text");
}

/** Runs a command in the app's folder, without this project's settings of the engine. */
function run([command, ...args], { cwd = app, fails = false } = {}) {
  const { ESPALIER_NATIVE, ESPALIER_BUILD, ESPALIER_ISA, ...others } = process.env;
  const env = { ...others, ESPALIER_WARM_START: "0" };
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8", maxBuffer: 1 << 26 });
  if (result.error) throw result.error;
  if ((result.status !== 0) !== fails) {
    throw new Error(
      `${[command, ...args].join(" ")} ended with ${result.status ?? result.signal}\n${result.stdout}${result.stderr}`,
    );
  }
  return result;
}
