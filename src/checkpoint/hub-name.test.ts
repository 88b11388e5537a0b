import { win32 } from "node:path";
import { normalize } from "node:path/posix";
import fc from "fast-check";
import { expect, test } from "vitest";
import { EspalierError } from "../errors.ts";
import { type HubName, isHubName, isRepoPath, parseHubName, printable } from "./hub-name.ts";

test.each([
  ["hf:o/r", { revision: "main" }],
  ["hf:o/r:Q4_K_M", { revision: "main", quant: "Q4_K_M" }],
  ["hf:o/r:UD-IQ2_XXS", { revision: "main", quant: "UD-IQ2_XXS" }],
  ["hf:o/r/m.gguf", { revision: "main", file: "m.gguf" }],
  ["hf://o/r/a/b c/m.Q8_0.GGUF", { revision: "main", file: "a/b c/m.Q8_0.GGUF" }],
  ["hf:o/r@v1.0/m.gguf", { revision: "v1.0", file: "m.gguf" }],
  ["hf:o/r@main:Q4_0", { revision: "main", quant: "Q4_0" }],
  ["hf:o/r@refs/pr/12/m.gguf", { revision: "refs/pr/12", file: "m.gguf" }],
  ["hf:o/r@feature%2Fnew:F16", { revision: "feature/new", quant: "F16" }],
])("%s", (name, parsed) => {
  expect(isHubName(name)).toBe(true);
  expect(parseHubName(name)).toEqual({ repo: "o/r", ...parsed });
});

test.each([
  ["hf:", /its owner/],
  ["hf:owner", /its repository/],
  ["hf:owner/", /its repository/],
  ["hf:../repo", /its owner/],
  ["hf:o/..:Q4_0", /its repository/],
  ["hf:o/a--b", /its repository/],
  ["hf:o/r\u001b[2J", /its repository/],
  [`hf:o/${"r".repeat(97)}`, /its repository/],
  ["hf:o/r@", /its revision has/],
  ["hf:o/r@..%2F..:Q4_0", /its revision has/],
  ["hf:o/r@%2Fetc", /its revision has/],
  ["hf:o/r@%zz", /its revision has/],
  ["hf:o/r:Q4_K_M@main", /wrong place.*hf:owner\/repo@main:Q4_K_M/],
  ["hf:o/r/m.gguf@main", /wrong place/],
  ["hf:o/r:", /behind the colon/],
  ["hf:o/r:Q4/x", /behind the colon/],
  ["hf:o/r/", /its file has/],
  ["hf:o/r/../m.gguf", /its file has/],
  ["hf:o/r/a//m.gguf", /its file has/],
  ["hf:o/r/a\\m.gguf", /its file has/],
  ["hf:o/r/c:m.gguf", /its file has/],
  ["hf:o/r/model.safetensors", /does not end with .gguf/],
])("%j is refused", (name, says) => {
  expect(() => parseHubName(name)).toThrow(says);
  expect(() => parseHubName(name)).toThrow(expect.objectContaining({ code: "bad-model-name" }));
});

test("whatever a name is, what it is parsed to stays below any folder", () => {
  const piece = fc.constantFrom(
    "o",
    "r",
    "/",
    ":",
    "@",
    "..",
    "%2F",
    "%00",
    "\\",
    "C:",
    "m.gguf",
    "Q4_0",
    "\u001b",
    " ",
    "refs/pr/1",
  );
  const name = fc
    .array(fc.oneof(piece, fc.string({ maxLength: 3 })), { maxLength: 9 })
    .map((parts) => `hf:o/r${parts.join("")}`);
  fc.assert(
    fc.property(name, (text) => {
      let parsed: HubName;
      try {
        parsed = parseHubName(text);
      } catch (error) {
        return error instanceof EspalierError && error.code === "bad-model-name";
      }
      const { repo, revision, file = "file", quant = "quant" } = parsed;
      for (const path of [repo, revision, file, quant]) {
        expect(normalize(`/top/${path}`)).toBe(`/top/${path}`);
        expect(win32.isAbsolute(path)).toBe(false);
        expect(printable(`x${path}`)).toBe(`x${path}`); // a space before it is no harm
      }
      return true;
    }),
    { numRuns: 2000 },
  );
});

test("paths and texts from elsewhere", () => {
  for (const path of ["a", "a/b.gguf", ".gitattributes", "ü.gguf"]) expect(isRepoPath(path)).toBe(true);
  for (const path of ["", ".", "a/..", "/a", "a/", "a\0", "a\u202e", "a./b", "x".repeat(1025)])
    expect(isRepoPath(path)).toBe(false);
  expect(printable("a\n\u001b[31mb\u202e c")).toBe("a [31mb  c");
  expect(printable("x".repeat(500))).toHaveLength(300);
});
