import { expect, test } from "vitest";
import { chooseModel, listed, modelsFor } from "./hub-files.ts";
import { byLikeness, misspelt } from "./nearest.ts";

const files = (...paths: string[]) => paths.map((path) => ({ path, bytes: 1e6 }));

test.each([
  ["Q4_0", "m-Q4_0.gguf", true],
  ["q4_0", "m.Q4_0.gguf", true],
  ["Q4_0", "m-IQ4_0.gguf", false],
  ["Q4_0", "m-Q4_0_4_4.gguf", false],
  ["Q4_K", "m_Q4_K_M.gguf", false],
  ["Q4_K_M", "m_Q4_K_M.gguf", true],
  ["Q4_K_M", "Q4_K_M/m.gguf", true],
  ["Q4_K_XL", "m-UD-Q4_K_XL.gguf", true],
  ["F16", "m-BF16.gguf", false],
  ["2.5bpw", "m-2.5bpw.gguf", true],
  ["2.5bpw", "m-2x5bpw.gguf", false],
  ["Q4_0", "m-Q4_0.safetensors", false],
  ["F16", "mmproj-F16.gguf", false],
  ["gguf", "m.gguf", false],
])("%s of %s: %s", (quant, path, fits) => {
  expect(modelsFor({ quant }, files(path))).toHaveLength(fits ? 1 : 0);
});

test("the only model of a repository needs no more name; without one that is said", () => {
  const name = { repo: "o/r", revision: "main" };
  expect(chooseModel(name, files("README.md", "m.gguf", "imatrix.gguf")).path).toBe("m.gguf");
  expect(() => chooseModel(name, files("m-mmproj.gguf"))).toThrow(
    "o/r has no GGUF file of a model; there is no other",
  );
});

test("long lists end", () => {
  const many = files(...Array.from({ length: 30 }, (_, i) => `m-${i}.gguf`));
  expect(listed("m-7.gguf", many)).toMatch(/^there are: m-7.gguf \(1.0 MB\), .*, and 6 more$/);
});

test("names by likeness", () => {
  expect(byLikeness("Q4_K_M", ["x", "q4_k_s", "Q8_0"])).toEqual(["q4_k_s", "Q8_0", "x"]);
  expect(misspelt("smolm2-135", ["qwen2.5", "smollm2-135m"])).toBe("smollm2-135m");
  expect(misspelt("smolm2", ["qwen2.5", "smollm2-135m"])).toBe("smollm2-135m");
  expect(misspelt("llama", ["qwen2.5", "smollm2-135m"])).toBeUndefined();
  expect(misspelt("llama", [])).toBeUndefined();
});
