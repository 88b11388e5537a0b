/** @file The parts of `bench/compare` that compute: who has which turn, how turns become figures, what reports and charts say. */

import { describe, expect, test } from "vitest";
import { ADVERSARIAL, adversarialPrompt } from "../bench/compare/report/adversarial.ts";
import { cellsOf, contextsWithin, filledPrompt } from "../bench/compare/report/cells.ts";
import { chartSvg } from "../bench/compare/report/chart.ts";
import { comparisonText, featuredMethod, headlines } from "../bench/compare/report/comparison.ts";
import { comparisonChart } from "../bench/compare/report/comparison-chart.ts";
import {
  countedRounds,
  decodingRate,
  fastest,
  meanAccepted,
  ratio,
  spreadOf,
  wholeRate,
} from "../bench/compare/report/figures.ts";
import { flagOf, gridText, verdicts } from "../bench/compare/report/grid.ts";
import { figure, markdownTable } from "../bench/compare/report/markdown.ts";
import { nextRound, turnOrder } from "../bench/compare/report/order.ts";
import {
  isDone,
  mergeRecords,
  parseRecords,
  type Records,
  type Round,
  type Run,
  roundKey,
  type Turn,
} from "../bench/compare/report/records.ts";

const run: Run = {
  type: "run",
  model: { name: "tiny", bytes: 17e6, sha256: "0123456789abcdef" },
  ...{ draftModel: null, maxTokens: 100, threads: 2, weights: "file", node: "v20.0.0", commit: "abcdef0123" },
  contenders: [
    ...["plain", "auto", "lookup"].map((name) => ({ name, engine: "espalier", settings: {} })),
    ...["plain", "lookup"].map((mode) => ({
      name: `node-llama-cpp, ${mode}`,
      engine: "node-llama-cpp",
      settings: { version: "3.0" },
    })),
  ],
  machine: { cpu: "CPU", cores: 2, memoryGb: 8 },
};

/** A turn of 101 tokens, of which one came first, at so many a second. */
function turn(contender: string, rate: number, more: Partial<Turn> = {}): Turn {
  const times = { firstMs: 100, decodeMs: 100_000 / rate, first: 1, tokens: 101, generated: 101 };
  return { contender, ...times, passes: 101, alike: 101, same: true, others: 0.01, waiting: 0, ...more };
}

function round(category: string, id: string, turns: readonly Turn[], more: Partial<Round> = {}): Round {
  return { type: "round", category, id, promptTokens: 10, temperature: 0, context: null, turns, ...more };
}

const records: Records = {
  runs: [run],
  rounds: [
    round("rag", "a", [
      turn("plain", 100),
      turn("auto", 200, { passes: 50 }),
      turn("node-llama-cpp, plain", 20),
      turn("node-llama-cpp, lookup", 40, { same: false }),
    ]),
    round("rag", "b", [
      turn("plain", 100),
      turn("auto", 300, { passes: 51 }),
      turn("node-llama-cpp, plain", 20),
      turn("node-llama-cpp, lookup", 30),
    ]),
    round("qa", "c", [
      turn("plain", 100),
      turn("auto", 110),
      turn("node-llama-cpp, plain", 20),
      turn("node-llama-cpp, lookup", 10),
    ]),
  ],
};

describe("turns", () => {
  test.each([2, 3, 4, 5, 12])("of %i: every place and every neighbour equally often", (count) => {
    const names = Array.from({ length: count }, (_, i) => `${i}`);
    const orders = Array.from({ length: 2 * count }, (_, at) => turnOrder(names, at));
    for (const order of orders) expect(order.toSorted()).toEqual(names.toSorted());
    const tally = (all: readonly string[]) => {
      const counts = new Map<string, number>();
      for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1);
      return [...counts.values()];
    };
    const places = tally(orders.flatMap((order) => order.map((name, place) => `${name} at ${place}`)));
    expect(places).toEqual(Array(count * count).fill(2));
    const pairs = tally(
      orders.flatMap((order) => order.slice(1).map((name, i) => `${name} behind ${order[i]}`)),
    );
    expect(pairs).toEqual(Array(count * (count - 1)).fill(2));
  });

  test("begin one later in every cell, and go on in each by itself", () => {
    const cell = (category: string) => ({ category, temperature: 0, context: null });
    const coming = ["a", "b", "a", "b"].map(cell);
    const done: ReturnType<typeof cell>[] = [];
    const numbers = coming.map((prompt) => {
      const number = nextRound(done, coming, prompt);
      done.push(prompt);
      return number;
    });
    expect(numbers).toEqual([0, 1, 1, 2]);
    // More prompts of one of them, later.
    expect(nextRound(done, [cell("b")], cell("b"))).toBe(3);
  });

  test("of one contender, or of none", () => {
    expect(turnOrder(["a"], 5)).toEqual(["a"]);
    expect(turnOrder([], 5)).toEqual([]);
  });
});

describe("figures", () => {
  test("leave out of the rate what came with the first token, and its time", () => {
    const late = turn("plain", 1, { firstMs: 500, decodeMs: 1500, first: 4, tokens: 34 });
    expect(decodingRate(late)).toBe(20);
    expect(wholeRate(late)).toBe(17);
  });

  test("are ratios within rounds, and their mean", () => {
    const spread = ratio(records.rounds.slice(0, 2), "auto", "plain")!;
    expect(spread).toMatchObject({ mean: 2.5, count: 2 });
    expect(spread.error).toBeCloseTo(0.5);
    expect(ratio(records.rounds, "auto", "transformers.js")).toBeUndefined();
  });

  test("say nothing of no values, and have no error for one", () => {
    expect(spreadOf([])).toBeUndefined();
    expect(spreadOf([3])).toMatchObject({ mean: 3, median: 3, error: 0, count: 1 });
  });

  test("find the fastest of those named", () => {
    const peers = ["node-llama-cpp, plain", "node-llama-cpp, lookup", "ik_llama.cpp"];
    expect(fastest(records.rounds.slice(0, 2), peers)).toBe("node-llama-cpp, lookup");
    expect(fastest(records.rounds.slice(2), peers)).toBe("node-llama-cpp, plain");
    expect(fastest(records.rounds, [])).toBeUndefined();
  });

  test("count tokens by pass over all rounds, unless passes are not known", () => {
    expect(meanAccepted(records.rounds.slice(0, 2), "auto")).toBe(2);
    expect(meanAccepted([round("qa", "a", [turn("ik", 1, { passes: null })])], "ik")).toBeUndefined();
  });

  test("leave out rounds in which an answer was too short", () => {
    const short = round("qa", "d", [turn("plain", 100), turn("auto", 100, { tokens: 8, first: 1 })]);
    expect(countedRounds([...records.rounds, short])).toEqual(records.rounds);
    const enough = round("qa", "d", [turn("plain", 100), turn("auto", 100, { tokens: 9, first: 1 })]);
    expect(countedRounds([enough])).toEqual([enough]);
    expect(countedRounds([enough], 0.01)).toEqual([enough]);
    expect(countedRounds([enough], 0.009)).toEqual([]);
  });
});

describe("result files", () => {
  const text = (lines: readonly object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

  test("come back as they were, without a line that a crash has cut", () => {
    const whole = text([run, ...records.rounds]);
    expect(parseRecords(whole, "a.jsonl")).toEqual(records);
    expect(parseRecords(`${whole}{"type":"rou`, "a.jsonl")).toEqual(records);
  });

  test("are refused when they are none", () => {
    expect(() => parseRecords('{"type":"run"\n{}\n', "a.jsonl")).toThrow("a.jsonl:1 is not JSON");
    expect(() => parseRecords(text([{ type: "other" }]), "a.jsonl")).toThrow("neither a run nor a round");
    expect(() => parseRecords("", "a.jsonl")).toThrow("says of no run");
  });

  test("are put together when conditions are the same", () => {
    const half = (name: string, rounds: readonly Round[], other: Partial<Run> = {}) => ({
      name,
      runs: [{ ...run, ...other }],
      rounds,
    });
    const [first, ...rest] = records.rounds;
    const merged = mergeRecords([half("a", [first!]), half("b", rest)]);
    expect(merged.rounds).toEqual(records.rounds);
    expect(() => mergeRecords([half("a", [first!]), half("b", rest, { threads: 4 })])).toThrow(
      "b has not the number of threads of a",
    );
    expect(() => mergeRecords([half("a", [first!]), half("b", rest, { warmUpMs: 4000 })])).toThrow(
      "the warm-up",
    );
    expect(mergeRecords([half("a", [first!]), half("b", rest, { warmUpMs: 0 })]).runs).toHaveLength(2);
    const model = { ...run.model, sha256: "other" };
    expect(() => mergeRecords([half("a", [first!]), half("b", rest, { model })])).toThrow("the model");
  });

  test("say what is done, by everybody who is to take part", () => {
    const key = roundKey(records.rounds[0]!);
    expect(isDone(records.rounds, key, ["plain", "auto"])).toBe(true);
    expect(isDone(records.rounds, key, ["plain", "eagle"])).toBe(false);
    expect(isDone(records.rounds, roundKey({ ...records.rounds[0]!, temperature: 0.8 }), ["plain"])).toBe(
      false,
    );
    expect(isDone(records.rounds, roundKey({ ...records.rounds[0]!, context: 100 }), ["plain"])).toBe(false);
  });
});

describe("the report of a comparison", () => {
  test("features auto, or what is wanted", () => {
    expect(featuredMethod(["plain", "eagle", "auto"])).toBe("auto");
    expect(featuredMethod(["plain", "eagle", "recycle-lookup"])).toBe("recycle-lookup");
    expect(featuredMethod(["plain", "eagle"])).toBe("eagle");
    expect(featuredMethod(["plain"])).toBe("plain");
    expect(featuredMethod(["plain", "eagle", "auto"], "eagle")).toBe("eagle");
    expect(() => featuredMethod(["plain", "auto"], "rasd")).toThrow("--featured is rasd");
  });

  test("compares with node-llama-cpp's best mode of each category", () => {
    const [rag, qa] = headlines(records, "auto");
    expect(rag).toMatchObject({ category: "rag", prompts: 2, best: "node-llama-cpp, lookup" });
    // 200 / 40 and 300 / 30.
    expect(rag!.overBest!.mean).toBe(7.5);
    expect(qa).toMatchObject({ best: "node-llama-cpp, plain" });
    expect(qa!.overBest!.mean).toBe(5.5);
    expect(qa!.overPlain!.mean).toBeCloseTo(1.1);
  });

  test("is Markdown with means over the categories", () => {
    const text = comparisonText(records);
    expect(text).toContain(
      "| rag | 2 | 35.0 (35.0-35.0) lookup | 100 (100-100) | 250 (250-250) | 2.50 (2.50-2.50) | 7.50 (7.50-7.50) |",
    );
    expect(text).toMatch(/\| mean \| 3 \| {2}\| {2}\| {2}\| 1\.80 \| 6\.50 \|/);
    expect(text).toContain(
      "tiny (17 MB, sha256 0123456789ab), at most 100 tokens; CPU, 2 cores, 8 GB; 2 threads",
    );
    expect(text).toContain("node-llama-cpp, lookup: version 3.0.");
    expect(text).toContain("All 3 methods of Espalier gave the same text on every prompt");
    expect(text).toContain("node-llama-cpp, lookup on 2 of 3");
    expect(text).toContain("Other programs took 1.0 % of the machine");
    expect(text).not.toContain("had written");
  });

  test("says what everybody did before", () => {
    const text = comparisonText({ ...records, runs: [{ ...run, warmUpMs: 4000 }] });
    expect(text).toContain("Everybody had written for 4 s before");
  });

  test("says when texts are not equal, or the machine was busy", () => {
    const wrong = turn("auto", 200, { same: false, alike: 17, others: 0.3 });
    const rounds = [round("rag", "a", [turn("plain", 100), wrong, turn("lookup", 90, { off: "off: why" })])];
    const text = comparisonText({ runs: [run], rounds });
    expect(text).toContain("**Texts are not equal**: auto on a (temperature 0) after 17 tokens");
    expect(text).toContain("more than 3.0 % in 1 of 3 turns; **measure again**");
    expect(text).toContain("Had stopped to draft by the end, of 1 prompts: lookup on 1.");
  });

  test("does without other programs, and without a prompt", () => {
    const own = { ...run, contenders: run.contenders.slice(0, 2) };
    const rounds = [round("rag", "a", [turn("plain", 100), turn("auto", 200)])];
    expect(comparisonText({ runs: [own], rounds })).toContain(
      "| rag | 1 | – | 100 (100-100) | 200 (200-200) | 2.00 (2.00-2.00) | – |",
    );
    expect(comparisonText({ runs: [own], rounds: [] })).toContain("No prompts were measured.");
  });
});

test("tables escape what would end a cell, and figures have three digits", () => {
  expect(
    markdownTable([
      ["a", "b"],
      ["x|y", "1"],
    ]),
  ).toBe("| a | b |\n| --- | ---: |\n| x\\|y | 1 |");
  expect([0.123, 4.567, 45.67, 456.7, undefined].map(figure)).toEqual(["0.12", "4.57", "45.7", "457", "–"]);
});

describe("the chart", () => {
  test("is the same for the same figures, with a bar and a figure for each", () => {
    const svg = comparisonChart(records);
    expect(svg).toBe(comparisonChart(structuredClone(records)));
    expect(svg.match(/<rect [^>]*><title>/g)).toHaveLength(6);
    expect(svg).toContain("<title>rag, Espalier, auto: 250.0</title>");
    expect(svg).toContain("prefers-color-scheme: dark");
  });

  test("has bars in proportion, on one line", () => {
    const svg = chartSvg({
      ...{ title: "<t>", subtitle: "s", series: ["a", "b"] },
      groups: [
        { name: "g", values: [50, 100] },
        { name: "h", values: [undefined, 25] },
      ],
    });
    const bars = [
      ...svg.matchAll(/y="([\d.]+)" width="[\d.]+" height="([\d.]+)" rx="2" fill="#\w+"><title>/g),
    ];
    expect(bars.map(([, , height]) => Number(height))).toEqual([150, 300, 75]);
    for (const [, y, height] of bars) expect(Number(y) + Number(height)).toBe(384);
    expect(svg).toContain("&lt;t&gt;");
    expect(svg).not.toContain("<t>");
  });

  test("refuses more series than it has colours", () => {
    expect(() =>
      chartSvg({ title: "", subtitle: "", series: ["a", "b", "c", "d", "e"], groups: [] }),
    ).toThrow(RangeError);
  });
});

describe("the grid", () => {
  test("has a cell for each category, temperature and context", () => {
    expect(cellsOf(["a", "b"], [0, 0.8], [100])).toEqual([
      { category: "a", temperature: 0, context: 100 },
      { category: "b", temperature: 0, context: 100 },
      { category: "a", temperature: 0.8, context: 100 },
      { category: "b", temperature: 0.8, context: 100 },
    ]);
  });

  test("keeps within the model's context", () => {
    expect(contextsWithin([4000, 100, 1000], 8192, 128)).toEqual([100, 1000, 4000]);
    expect(contextsWithin([100, 1000, 4000], 1024, 64)).toEqual([100, 960]);
    expect(() => contextsWithin([100], 64, 64)).toThrow("--tokens is 64");
  });

  test("fills prompts to their length, and they end as they did", () => {
    expect(filledPrompt([[1, 2, 3], [4, 5], [6]], 3)).toEqual([1, 2, 3]);
    expect(filledPrompt([[1, 2, 3], [4, 5], [6]], 2)).toEqual([2, 3]);
    expect(filledPrompt([[1, 2, 3], [4, 5], [6]], 8)).toEqual([2, 3, 6, 4, 5, 1, 2, 3]);
    expect(() => filledPrompt([[]], 2)).toThrow("no tokens");
  });

  test("flags what is below its limit, surely or perhaps", () => {
    const of = (...values: number[]) => flagOf(spreadOf(values), 0.98);
    expect(of(0.99, 0.97)).toBe("no");
    expect(of(0.5)).toBe("perhaps");
    expect(of(1.1, 0.8)).toBe("perhaps");
    expect(of(0.9, 0.91, 0.9)).toBe("sure");
    // Two that are alike may be so by chance, ten may not.
    expect(of(0.9, 0.92)).toBe("perhaps");
    expect(of(...Array.from({ length: 10 }, (_, i) => 0.9 + (i % 2) / 50))).toBe("sure");
    expect(flagOf(undefined, 0.98)).toBe("no");
  });

  test("compares with plain and with the best single method of a cell", () => {
    const cell = { temperature: 0.8, context: 100 };
    const rounds = [
      round("rag", "a", [turn("plain", 100), turn("lookup", 200), turn("auto", 190)], cell),
      round("rag", "b", [turn("plain", 100), turn("lookup", 200), turn("auto", 190)], cell),
      round("qa", "c", [turn("plain", 100), turn("lookup", 50), turn("auto", 90)], cell),
    ];
    const [rag, qa] = verdicts({ runs: [run], rounds }, "auto");
    expect(rag).toMatchObject({ best: "lookup", rounds: 2, slower: "no", behind: "sure" });
    expect(rag!.overBest!.mean).toBeCloseTo(0.95);
    expect(qa).toMatchObject({ best: "plain", slower: "perhaps", behind: "perhaps" });
    const text = gridText({ runs: [run], rounds }, undefined);
    expect(text).toContain(
      "| rag | 0.8 | 100 | 2 | 1.90 ± 0.00 | – | 1.90 ± 0.00 | lookup | 0.95 ± 0.00 | 1.00 ± 0.00 | behind! |",
    );
    expect(text).toContain("2 cells. Below 0.98 of plain's tokens/s: 1 (0 of them");
    expect(text).not.toContain("plain again* is");
  });

  test("says what plain decoding has of itself, which is no method to be compared with", () => {
    const cell = { temperature: 0.8, context: 100 };
    const rounds = [
      round("rag", "a", [turn("plain", 100), turn("plain again", 110), turn("auto", 105)], cell),
      round("qa", "b", [turn("plain", 100), turn("plain again", 90), turn("auto", 95)], cell),
    ];
    const names = ["plain", "plain again", "auto"];
    const own = { ...run, contenders: names.map((name) => ({ name, engine: "espalier", settings: {} })) };
    const [rag, qa] = verdicts({ runs: [own], rounds }, "auto");
    expect(rag).toMatchObject({ best: "plain", slower: "no" });
    expect([rag!.control!.mean, qa!.control!.mean]).toEqual([1.1, 0.9]);
    expect(rag!.overBoth!.mean).toBeCloseTo(1);
    expect(qa).toMatchObject({ slower: "perhaps" });
    expect(qa!.overBoth!.mean).toBeCloseTo(1);
    const text = gridText({ runs: [own], rounds }, undefined);
    expect(text).toContain("1 of its cells (0 surely) are below 0.98 too");
    expect(text).toContain("standard deviation of 0.141; 0 cells of auto are below 0.98 by more than twice");
    expect(text).toContain("over the mean of the two, 0 cells (0 surely) are below 0.98");
  });
});

describe("adversarial prompts", () => {
  const model = {
    vocabulary: [3, 5, 8],
    encode: async (text: string) => [...text].map((character) => character.codePointAt(0)!),
  };

  test.each(ADVERSARIAL)("%s: of one length, by the seed alone", async (kind) => {
    const prompt = await adversarialPrompt(kind, 50, 7, model);
    expect(prompt).toHaveLength(50);
    expect(await adversarialPrompt(kind, 50, 7, model)).toEqual(prompt);
    expect(await adversarialPrompt(kind, 50, 8, model)).not.toEqual(prompt);
  });

  test("are of what their names say", async () => {
    const random = await adversarialPrompt("random-tokens", 100, 1, model);
    expect(new Set(random)).toEqual(new Set(model.vocabulary));
    const text = async (kind: string) =>
      String.fromCodePoint(...(await adversarialPrompt(kind, 200, 1, model)));
    expect(await text("hexadecimal")).toMatch(/^[0-9a-f]{200}$/);
    expect(await text("unknown-language")).toMatch(/^[\u10d0-\u10ff ,.]{200}$/);
    await expect(adversarialPrompt("klingon", 1, 1, model)).rejects.toThrow(
      "no adversarial prompts of kind klingon",
    );
  });
});
