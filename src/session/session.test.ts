import { describe, expect, it } from "vitest";
import { collect, toyModel, toyTokenizer } from "../../test/toy-model.ts";
import { ToyTarget } from "../target/toy.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { GenerateRequest } from "./api.ts";

const endless = { endTokens: [] };

describe("a request that makes no sense", () => {
  const model = toyModel({ contextLength: 20, maxNodes: 32 });
  const wrong: [string, GenerateRequest, new (...args: never[]) => Error, string][] = [
    ["no prompt", {}, RangeError, "exactly one of prompt, messages and tokens; none given"],
    ["two prompts", { prompt: "1", tokens: [1] }, RangeError, "prompt and tokens given"],
    ["an empty prompt", { prompt: "" }, RangeError, "prompt is empty"],
    ["no messages", { messages: [] }, RangeError, "messages is empty"],
    ["no tokens", { tokens: [] }, RangeError, "tokens is empty"],
    ["a token outside", { tokens: [1, 48] }, RangeError, "tokens holds 48"],
    ["a negative token", { tokens: [-1] }, RangeError, "tokens holds -1"],
    ["half a token", { tokens: [0.5] }, RangeError, "tokens holds 0.5"],
    ["maxTokens 0", { prompt: "1", maxTokens: 0 }, RangeError, "maxTokens is 0"],
    ["maxTokens NaN", { prompt: "1", maxTokens: Number.NaN }, RangeError, "maxTokens is NaN"],
    ["budget 0", { prompt: "1", budget: 0 }, RangeError, "budget is 0"],
    ["budget NaN", { prompt: "1", budget: Number.NaN }, RangeError, "budget is NaN"],
    ["a budget beyond the pass", { prompt: "1", budget: 33 }, RangeError, "at most 32 nodes"],
    ["an empty stop string", { prompt: "1", stop: ["a", ""] }, RangeError, "empty string"],
    ["a stop that is no array", { prompt: "1", stop: "a" as unknown as string[] }, TypeError, "stop is a"],
    [
      "a stop that is no string",
      { prompt: "1", stop: [1] as unknown as string[] },
      TypeError,
      "stop holds 1",
    ],
    ["logProbs 21", { prompt: "1", logProbs: 21 }, RangeError, "logProbs is 21"],
    ["logProbs 0.5", { prompt: "1", logProbs: 0.5 }, RangeError, "logProbs is 0.5"],
    [
      "a prediction that is no string",
      { prompt: "1", prediction: 1 as unknown as string },
      TypeError,
      "prediction is 1",
    ],
    ["temperature below 0", { prompt: "1", temperature: -1 }, RangeError, "temperature is -1"],
    ["temperature NaN", { prompt: "1", temperature: Number.NaN }, RangeError, "temperature is NaN"],
    [
      "an unknown method",
      { prompt: "1", method: "magic" },
      RangeError,
      "plain, auto, token-recycling, prompt-lookup",
    ],
    ["a method out of Object", { prompt: "1", method: "toString" }, RangeError, 'method is "toString"'],
  ];

  it.each(wrong)("is refused: %s", async (_, request, kind, message) => {
    const failure = await collect(model.generate(request)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(kind);
    expect((failure as Error).message).toContain(message);
  });

  it("says by how much a prompt is longer than the context", async () => {
    await expect(collect(model.generate({ tokens: Array(23).fill(1) }))).rejects.toMatchObject({
      code: "context-overflow",
      message: expect.stringContaining("shorten it by 4"),
    });
    expect((await collect(model.generate({ tokens: Array(19).fill(1) }))).tokens.length).toBe(1);
  });

  it("is refused when there are messages and no template", async () => {
    const request: GenerateRequest = { messages: [{ role: "user", content: "1" }] };
    await expect(collect(model.generate(request))).rejects.toMatchObject({ code: "missing-chat-template" });
  });

  it("is refused by createSession too", async () => {
    for (const contextLength of [1, 21, 2.5, Number.NaN]) {
      await expect(model.createSession({ contextLength })).rejects.toThrow(
        `contextLength is ${contextLength}`,
      );
    }
  });
});

describe("Model.generate", () => {
  it("takes prompts, messages and tokens", async () => {
    const model = toyModel(
      {},
      {
        tokenizer: {
          ...toyTokenizer,
          promptStart: [47],
          promptEnd: [46],
          quote: (text) => text.replaceAll("1", "4"),
        },
        chatTemplate: { render: (messages) => messages.map(({ content }) => content).join("") },
      },
    );
    const ask = async (request: GenerateRequest) =>
      (await collect(model.generate({ ...request, maxTokens: 9 }))).tokens;
    const tokens = toyTokenizer.encode("123", { special: false });
    expect(await ask({ prompt: "123" })).toEqual(await ask({ tokens: [47, ...tokens, 46] }));
    const quoted = toyTokenizer.encode("423", { special: false });
    expect(await ask({ messages: [{ role: "user", content: "123" }] })).toEqual(
      await ask({ tokens: quoted }),
    );
  });

  it("ends after exactly maxTokens, with stats that add up", async () => {
    for (const method of ["plain", "token-recycling", "prompt-lookup", "recycle-lookup"]) {
      const model = toyModel({ order: 1, longRange: 0 }, endless);
      const { end } = await collect(model.generate({ prompt: "1234", maxTokens: 50, method, budget: 6 }));
      expect(end.stopReason).toBe("max-tokens");
      const { stats } = end;
      expect(stats).toMatchObject({ method, tokens: 50, promptTokens: 4, cachedTokens: 0 });
      expect(stats.mat).toBe(50 / stats.passes);
      expect(stats.passMs).toBeLessThanOrEqual(stats.decodeMs);
      expect(stats.nodes).toBeLessThanOrEqual(stats.passes * 6);
      const { passes, nodes } = stats;
      if (method === "plain") expect([passes, nodes, stats.byDrafter]).toEqual([50, 50, {}]);
      else {
        expect(passes).toBeLessThan(40);
        const drafters = Object.values(stats.byDrafter);
        expect(drafters.reduce((sum, { drafted }) => sum + drafted, 0)).toBeGreaterThanOrEqual(
          nodes - passes,
        );
        const guessed = Math.max(...drafters.map(({ accepted }) => accepted));
        expect(guessed).toBeLessThanOrEqual(50 - passes);
        expect(guessed).toBeGreaterThan(0);
      }
    }
  });

  it("says of every piece who guessed it", async () => {
    const model = toyModel({ order: 1, longRange: 0 }, endless);
    const counts: Record<string, number> = {};
    let accepted: unknown;
    for await (const event of model.generate({ prompt: "1234", maxTokens: 60, budget: 8 })) {
      if (event.type === "end") accepted = event.stats.byDrafter;
      else
        for (const name of event.pieces.flatMap(({ drafters }) => drafters))
          counts[name] = (counts[name] ?? 0) + 1;
    }
    for (const [name, count] of Object.entries(counts))
      expect(accepted).toMatchObject({ [name]: { accepted: count } });
    expect(Object.keys(counts).sort()).toEqual(["recycle", "retrieval"]);
  });

  it("includes the end token in the ids, not in the text", async () => {
    const free = await collect(
      toyModel({ order: 2 }, endless).generate({ prompt: "12", maxTokens: 40, method: "plain" }),
    );
    const last = free.tokens[25]!;
    const at = free.tokens.indexOf(last);
    const { tokens, text, end } = await collect(
      toyModel({ order: 2 }, { endTokens: [last] }).generate({ prompt: "12" }),
    );
    expect(end.stopReason).toBe("end-token");
    expect(tokens).toEqual(free.tokens.slice(0, at + 1));
    expect(text).toBe(free.text.slice(0, at));
  });

  it("keeps what methods learn, each for itself", async () => {
    const model = toyModel({ order: 1, longRange: 0 }, endless);
    const passes = async (method: string) =>
      (await collect(model.generate({ prompt: "12", maxTokens: 40, method, budget: 8 }))).end.stats.passes;
    const cold = await passes("token-recycling");
    expect(await passes("token-recycling")).toBeLessThan(cold);
    expect(await passes("recycle-lookup")).toBeGreaterThan(1);
    const [own, other] = ["token-recycling", "recycle-lookup"].map(
      (name) => model.method(name).method.learnt!,
    );
    expect(own!["recycle.matrix"]!.values).not.toEqual(other!["recycle.matrix"]!.values);
  });

  it("aborts before, during and after the prefill with what there is", async () => {
    const model = toyModel({ chunk: 4, contextLength: 4096 }, endless);
    const tokens = Array.from({ length: 2000 }, (_, i) => i % 40);
    const before = await collect(model.generate({ tokens, signal: AbortSignal.abort() }));
    expect([before.end.stopReason, before.tokens.length, before.end.stats.passes]).toEqual(["aborted", 0, 0]);
    expect(before.end.stats.mat).toBe(0);
    const during = new AbortController();
    setTimeout(() => during.abort(), 2);
    expect((await collect(model.generate({ tokens, signal: during.signal }))).end.stopReason).toBe("aborted");
    const after = new AbortController();
    let seen = 0;
    for await (const event of model.generate({ prompt: "12", signal: after.signal })) {
      if (event.type === "end") expect([event.stopReason, event.tokens.length]).toEqual(["aborted", seen]);
      else seen += event.pieces.length;
      if (seen > 5) after.abort();
    }
    expect(seen).toBeGreaterThan(5);
  });

  it("passes on a target's failure, and the session goes on", async () => {
    const target = new ToyTarget();
    const create = target.createSequence.bind(target);
    let failing = false;
    target.createSequence = async (options) => {
      const sequence = await create(options);
      const forward = sequence.forward.bind(sequence);
      sequence.forward = async (tree, want) => {
        if (failing) throw new Error("no luck");
        return forward(tree, want);
      };
      return sequence;
    };
    await using session = await toyModel({}, { target, ...endless }).createSession();
    const ask = () => collect(session.generate({ prompt: "123", maxTokens: 20 }));
    const first = await ask();
    failing = true;
    await expect(ask()).rejects.toThrow("no luck");
    failing = false;
    expect((await ask()).tokens).toEqual(first.tokens);
  });
});

describe("Session", () => {
  it("reads only what is new", async () => {
    await using session = await toyModel({}, endless).createSession();
    const first = await collect(session.generate({ prompt: "1234567", maxTokens: 10 }));
    const said = [1, 2, 3, 4, 5, 6, 7, ...first.tokens];
    expect(session.cachedTokens).toBeGreaterThanOrEqual(16);
    const next = await collect(session.generate({ tokens: [...said, 9, 9], maxTokens: 5 }));
    expect(next.end.stats.cachedTokens).toBeGreaterThanOrEqual(16);
    const again = await collect(session.generate({ prompt: "123456789", maxTokens: 5 }));
    expect(again.end.stats.cachedTokens).toBe(7);
  });

  it("keeps nothing in the cache that was clipped from the text", async () => {
    const target = new ToyTarget({ order: 1, longRange: 0 });
    const create = target.createSequence.bind(target);
    let sequence: Awaited<ReturnType<typeof create>> | undefined;
    target.createSequence = async (options) => {
      sequence = await create(options);
      return sequence;
    };
    await using session = await toyModel({}, { target, ...endless }).createSession();
    const { text } = await collect(session.generate({ prompt: "12", maxTokens: 60 }));
    expect(session.cachedTokens).toBe(61);
    expect(sequence!.length).toBe(61);
    const clipped: number[] = [];
    for (let at = 10; at + 2 <= text.length; at++) {
      const stop = [text.slice(at, at + 2)];
      const { tokens, end } = await collect(session.generate({ prompt: "12", maxTokens: 60, stop }));
      expect(end.text).toBe(text.slice(0, text.indexOf(stop[0]!)));
      expect(sequence!.length).toBe(session.cachedTokens);
      expect(session.cachedTokens).toBeLessThanOrEqual(2 + tokens.length);
      clipped.push(2 + tokens.length - session.cachedTokens);
    }
    // Most stops come in the middle of an accepted path.
    expect(clipped).toContain(0);
  });

  it("is used once at a time, and not after it was disposed", async () => {
    const session = await toyModel({}, endless).createSession();
    const running = session.generate({ prompt: "1" });
    await running.next();
    await expect(collect(session.generate({ prompt: "1" }))).rejects.toThrow("the session is busy");
    await expect(session[Symbol.asyncDispose]()).rejects.toThrow("the session is busy");
    await running.return();
    await collect(session.generate({ prompt: "1", maxTokens: 2 }));
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    await expect(collect(session.generate({ prompt: "1" }))).rejects.toThrow("the session is disposed");
  });

  it("of two sessions at once says what one after the other says", async () => {
    const model = toyModel({}, endless);
    const alone = await Promise.all(
      ["12", "34"].map((prompt) => collect(model.generate({ prompt, maxTokens: 60, method: "plain" }))),
    );
    const both = await Promise.all(
      ["12", "34"].map((prompt) => collect(model.generate({ prompt, maxTokens: 60 }))),
    );
    expect(both.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
  });
});

describe("log-probabilities", () => {
  const settings = [{}, { temperature: 1.5, seed: 3 }, { temperature: 1, topK: 5 }, { presencePenalty: 1 }];

  it.each(settings)("are those of the model's row, drafted or plain, with %o", async (sampling) => {
    const target = new ToyTarget({ order: 1 });
    const request = { ...sampling, prompt: "1234", maxTokens: 30, logProbs: 3 };
    const { tokens, pieces } = await collect(toyModel({ order: 1 }, endless).generate(request));
    const plain = await collect(toyModel({ order: 1 }, endless).generate({ ...request, method: "plain" }));
    expect(pieces.map(({ logProbs }) => logProbs)).toEqual(plain.pieces.map(({ logProbs }) => logProbs));

    const text = [...toyTokenizer.encode("1234", { special: false }), ...tokens];
    await using sequence = await target.createSequence({ capacity: text.length });
    await sequence.prefill(text.slice(0, 3));
    for (const [i, { token, logProbs }] of pieces.entries()) {
      const pass = await sequence.forward(new DraftTree(text[3 + i]!, 1), { topK: 1, logits: true });
      const row = [...pass.logits(0)];
      const sum = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
      expect(logProbs?.token).toBe(token);
      expect(logProbs?.logProb).toBeCloseTo(row[token]! - sum, 4);
      expect(logProbs?.top.map(({ token }) => token)).toEqual(order.slice(0, 3));
      for (const { token, logProb, bytes } of logProbs!.top) {
        expect(logProb).toBeCloseTo(row[token]! - sum, 4);
        expect(bytes).toEqual(toyTokenizer.tokenBytes(token));
      }
      sequence.commit([0]);
    }
  });

  it("are not reported unasked, nor for the end token", async () => {
    const model = toyModel({ order: 1 });
    const unasked = await collect(model.generate({ prompt: "12", temperature: 2 }));
    expect(unasked.end.stopReason).toBe("end-token");
    expect(unasked.pieces.every((piece) => !("logProbs" in piece))).toBe(true);
    const asked = await collect(model.generate({ prompt: "12", temperature: 2, logProbs: 0 }));
    expect(asked.tokens).toEqual(unasked.tokens);
    expect(asked.pieces.at(-1)!.logProbs).toBeUndefined();
    expect(asked.pieces.slice(0, -1).every(({ logProbs }) => logProbs?.top.length === 0)).toBe(true);
  });
});

describe("a prediction", () => {
  it("saves passes where it is right, and never changes the text", async () => {
    const model = toyModel({}, endless);
    for (const method of ["plain", "recycle-lookup", "token-recycling"]) {
      for (const sampling of [{}, { temperature: 1, seed: 5 }]) {
        const request = { ...sampling, prompt: "1234", maxTokens: 60, budget: 8, method };
        const { text, end } = await collect(model.generate(request));
        const edited = `${text.slice(0, 20)}000${text.slice(25)}`;
        for (const prediction of [text, edited, "THIS NEVER COMES".replaceAll(" ", "0"), "5"]) {
          const predicted = await collect(model.generate({ ...request, prediction }));
          expect(predicted.text).toBe(text);
          const { passes, byDrafter } = predicted.end.stats;
          expect(byDrafter.prediction?.drafted).toBeGreaterThanOrEqual(byDrafter.prediction!.accepted);
          if (!text.startsWith(prediction.slice(0, 20))) continue;
          expect(passes).toBeLessThan(end.stats.passes);
          expect(passes).toBeLessThan(25);
          expect(byDrafter.prediction!.accepted).toBeGreaterThan(30);
        }
      }
    }
  });

  it("counts for its own text alone", async () => {
    const model = toyModel({}, endless);
    await collect(model.generate({ prompt: "1234", maxTokens: 20, prediction: "567" }));
    const { end } = await collect(model.generate({ prompt: "1234", maxTokens: 20 }));
    expect(Object.keys(end.stats.byDrafter).sort()).toEqual(["recycle", "retrieval"]);
  });
});
