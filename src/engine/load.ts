/** @file From the name or path of a model to a {@link Model} that generates. */

import { basename } from "node:path";
import { type ModelConfig, readConfig } from "../checkpoint/config.ts";
import type { DownloadProgress } from "../checkpoint/download-progress.ts";
import { embeddedDraftModel, embeddedModel } from "../checkpoint/embedded.ts";
import { findModel } from "../checkpoint/find-model.ts";
import { type Gguf, openGguf } from "../checkpoint/gguf.ts";
import type { DownloadOffer } from "../checkpoint/hub-model.ts";
import { findTensors } from "../checkpoint/model-tensors.ts";
import { findShippedExit, findShippedHead, ldlpBeside } from "../checkpoint/shipped-heads.ts";
import { readChatTemplate, readTokenizerSpec } from "../checkpoint/tokenizer-spec.ts";
import type { RetrievalSource } from "../draft/continuations.ts";
import { EspalierError } from "../errors.ts";
import type { PassCosts } from "../plan/cost.ts";
import { Model } from "../session/model.ts";
import { ChatTemplate } from "../text/chat-template.ts";
import { fingerprint } from "../text/fingerprint.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { engine } from "./binding.ts";
import { defaultThreads, identityOf, settingsOf } from "./kept-costs.ts";
import { loadCosts } from "./load-costs.ts";
import { type NativeExit, openExit } from "./native-exit.ts";
import { type NativeHead, openHead } from "./native-head.ts";
import { type NativeLdlp, openLdlp } from "./native-ldlp.ts";
import { NativeTarget, type NativeTargetOptions } from "./native-target.ts";
import { allowsWarmStart, WarmStart } from "./warm-start.ts";
import { readWeights, type WeightPrecision } from "./weights.ts";

/** Draft models of at most this size run on one thread: their passes, a tenth of a millisecond, are over before a second one wakes. */
const ONE_THREAD_BYTES = 4 << 20;

export interface LoadOptions {
  /** Threads of a pass, 1 to 64; default: as many as this process may use. */
  readonly threads?: number;
  /**
   * The longest text, prompt included, in tokens; default and most: what the model was trained for. Of the two lists of rotation
   * factors of a longrope model (Phi-3, 128k) this chooses the one that all texts are read with.
   */
  readonly contextLength?: number;
  /**
   * How weights are kept: "file", the default, with the values that the file holds (those of 16 and 32 bits are rounded to 8);
   * "q4" with 4 bits where the file has more, which reads less memory for each token and is a little less exact.
   */
  readonly weights?: WeightPrecision;
  /** How keys and values are kept; "i16", the default: 16-bit integers with scales; "f32": floats, in twice the memory. */
  readonly cacheType?: "i16" | "f32";
  /**
   * Path or name of a smaller model of the same vocabulary; it drafts (method "draft-model") where requests name no method.
   * Default: none, but the embedded model has one of its own.
   */
  readonly draftModel?: string;
  /**
   * Path of a draft head that was trained for the model (EAGLE), a GGUF file or a folder as such heads are published; it drafts where requests name method "eagle". Default: the one that
   * comes with the package, for models that have one; "none": none.
   */
  readonly head?: string;
  /**
   * Path of an exit block that was trained for the model (EESD), a GGUF file; with the model's own first layers it drafts where requests
   * name method "eesd". Default: the one that comes with the package, for models that have one; "none": none.
   */
  readonly exit?: string;
  /**
   * Path of a length predictor that was trained for the model and its draft head or, without one, its draft model (LDLP); method
   * "adaeagle" is for models that have one. Default: the one beside the head, `NAME-ldlp.gguf` beside `NAME-eagle.gguf`, if there is one.
   */
  readonly ldlp?: string;
  /**
   * An open datastore (`openDatastore`) of the model's tokenizer, which methods "rasd" and "retrieval" look into; they are then the default, the
   * first where something drafts. It stays open when the model is disposed. Default: none.
   */
  readonly datastore?: RetrievalSource;
  /**
   * Milliseconds of a pass by rows, and of each token of the text, which choose the default budget of drafts. Default: measured here, in a few passes;
   * `false`: not known, so that every tree has the same number of nodes.
   */
  readonly passTimes?: PassCosts | false;
  /**
   * Whether to start with what earlier use of the model has learnt, and what passes took, and to keep the same of this one: in the user's
   * cache folder, every few minutes and when the model is disposed. Texts come sooner; they stay the same. What is kept are token ids of texts and counts (docs/warm-start.md).
   * Default: no. ESPALIER_WARM_START=0 in the environment means no, too.
   */
  readonly warmStart?: boolean;
  /** Told of what went wrong with a warm start, in one line. Default: `process.emitWarning`. */
  readonly onWarning?: (message: string) => void;
  /** Called with the part of the weights that is read, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  /**
   * Whether a model that is not on this machine may be downloaded; a function is told what, from where and to where, and
   * decides. Default: `hf:` names may, others (such as "smollm2-135m") may not.
   */
  readonly download?: boolean | ((offer: DownloadOffer) => boolean | Promise<boolean>);
  /** Called as a download gets on. */
  readonly onDownload?: (progress: DownloadProgress) => void;
  /** Ends the loading: its reason is thrown. What a download has brought is kept for the next one. */
  readonly signal?: AbortSignal;
}

/**
 * Loads a GGUF model, given its path, its name in the cache, or its name on the Hugging Face hub: `hf:owner/repo/file.gguf`
 * or `hf:owner/repo:Q4_K_M`, which is downloaded into the cache that all Hugging Face programs share unless it is there.
 * Without any the embedded model, which tells short stories. Throws EspalierError: what is wrong with a file or its download,
 * that draft model or datastore have another vocabulary ("other-vocabulary"), that the head or exit block is another model's ("wrong-head"), or that there
 * is no memory or no engine. What the package brings to draft with is read when a text first drafts with it. Dispose the model (`await using`) to free it.
 */
export async function loadModel(
  pathOrName: string = embeddedModel,
  options: LoadOptions = {},
): Promise<Model> {
  const { threads = defaultThreads(), contextLength, cacheType = "i16", passTimes, onProgress } = options;
  const { weights: precision = "file", download, onDownload, signal } = options;
  const { warmStart = false, onWarning = (message) => process.emitWarning(message) } = options;
  if (precision !== "file" && precision !== "q4") {
    throw new RangeError(`weights is ${String(precision)}; give "file" or "q4"`);
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
    throw new RangeError(`threads is ${threads}; give an integer from 1 to 64`);
  }
  if (cacheType !== "i16" && cacheType !== "f32") {
    throw new RangeError(`cacheType is ${String(cacheType)}; give "i16" or "f32"`);
  }
  const binding = engine();
  const find = (name: string) => findModel(name, { download, onDownload, signal });
  const path = await find(pathOrName);
  const draftName = options.draftModel ?? (pathOrName === embeddedModel ? embeddedDraftModel : undefined);
  const draftPath = draftName === undefined ? undefined : await find(draftName);
  signal?.throwIfAborted();
  await using gguf = await openGguf(path);
  const config = limited(readConfig(gguf), contextLength);
  const tensors = findTensors(gguf, config);
  const spec = readTokenizerSpec(gguf);
  const { datastore } = options;
  if (datastore && datastore.fingerprint !== fingerprint(spec.tokens)) {
    throw new EspalierError(
      "other-vocabulary",
      "the datastore was built with the tokenizer of another model; build one with this model's",
    );
  }
  const template = readChatTemplate(gguf);
  const settings: NativeTargetOptions = { threads, cacheType };
  const headTarget = { config, tokens: spec.tokens };
  const headPath = await chosen(options.head, () => findShippedHead(headTarget));
  const exitPath = await chosen(options.exit, () => findShippedExit(headTarget));
  const drafts = await identityOf(draftPath ?? headPath);
  await using draftFile =
    draftPath === undefined ? undefined : await openDraftModel(draftPath, path, spec.tokens);
  let draftModel: NativeTarget | undefined;
  let target: NativeTarget | undefined;
  let head: NativeHead | undefined;
  let exit: NativeExit | undefined;
  let lengths: NativeLdlp | undefined;
  try {
    const reading = readWeights(binding, gguf, tensors, { precision, onProgress });
    // The weights are read by other threads meanwhile.
    let tokenizer: Tokenizer;
    try {
      tokenizer = new Tokenizer(spec);
    } catch (error) {
      await reading.then(
        ({ arena }) => binding.release(arena),
        () => {},
      );
      throw error;
    }
    const opening =
      warmStart && allowsWarmStart()
        ? WarmStart.open({
            model: { path, fileSize: gguf.fileSize, fingerprint: tokenizer.fingerprint },
            settings: settingsOf({ threads, weights: precision, cacheType }, drafts),
            keepsTimes: passTimes === undefined,
            warn: onWarning,
          })
        : undefined;
    target = new NativeTarget(binding, config, await reading, {
      ...settings,
      layerBytes: gguf.fileSize / config.layers,
    });
    draftModel = draftFile && (await loadDraftModel(draftFile, target, settings, precision));
    head = headPath === undefined ? undefined : await openHead(headPath, target, spec.tokens);
    exit = exitPath === undefined ? undefined : await openExit(exitPath, target, spec.tokens);
    lengths = await lengthsFor(target, spec.tokens, options.ldlp, { headPath, draftPath });
    // What was named is wanted, and what is wrong with it is said now; what comes with the model is read when a text drafts with it.
    if (options.head !== undefined) await head?.load();
    if (options.exit !== undefined) await exit?.load();
    if (options.ldlp !== undefined) await lengths?.load();
    const keeper = await opening;
    signal?.throwIfAborted();
    const costs = await loadCosts(target, { draftModel, head }, passTimes, keeper?.costs);
    const name = (id: number | undefined) => (id === undefined ? "" : spec.tokens[id]!);
    return new Model({
      name: basename(path, ".gguf"),
      target,
      draftModel,
      head,
      exit,
      lengths,
      datastore,
      keeper,
      tokenizer,
      endTokens: tokenizer.endTokens,
      chatTemplate:
        template === undefined
          ? undefined
          : new ChatTemplate(template, { bosToken: name(spec.bosToken), eosToken: name(spec.eosToken) }),
      passTimes: costs?.passes,
      questionCosts: costs?.questions,
    });
  } catch (error) {
    await lengths?.[Symbol.asyncDispose]();
    await head?.[Symbol.asyncDispose]();
    await exit?.[Symbol.asyncDispose]();
    await draftModel?.[Symbol.asyncDispose]();
    await target?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** The file of a model for drafting what has the vocabulary `tokens`, which is that of `of`. */
async function openDraftModel(path: string, of: string, tokens: readonly string[]): Promise<Gguf> {
  const gguf = await openGguf(path);
  const own = readTokenizerSpec(gguf).tokens;
  const different = tokens.findIndex((token, id) => token !== own[id]);
  if (own.length !== tokens.length || different >= 0) {
    const how =
      own.length !== tokens.length
        ? `${own.length} tokens there, ${tokens.length} here`
        : `token ${different} is ${JSON.stringify(own[different])} there, ${JSON.stringify(tokens[different])} here`;
    await gguf[Symbol.asyncDispose]();
    throw new EspalierError(
      "other-vocabulary",
      `${gguf.path} cannot draft for ${of}: their vocabularies differ (${how}); give a draft model of the same vocabulary`,
    );
  }
  return gguf;
}

async function loadDraftModel(
  gguf: Gguf,
  target: NativeTarget,
  settings: NativeTargetOptions,
  precision: WeightPrecision,
): Promise<NativeTarget> {
  const config = readConfig(gguf);
  const weights = await readWeights(engine(), gguf, findTensors(gguf, config), { precision });
  const small = gguf.fileSize <= ONE_THREAD_BYTES;
  return new NativeTarget(engine(), config, weights, {
    ...settings,
    ...(small && { threads: 1, beside: target }),
    layerBytes: gguf.fileSize / config.layers,
  });
}

/** The path that was given, if one was; "none" means none. */
async function chosen(
  path: string | undefined,
  shipped: () => Promise<string | undefined>,
): Promise<string | undefined> {
  return path === "none" ? undefined : (path ?? (await shipped()));
}

/** The length predictor for what drafts: a head before a draft model. */
async function lengthsFor(
  target: NativeTarget,
  tokens: readonly string[],
  path: string | undefined,
  { headPath, draftPath }: { readonly headPath: string | undefined; readonly draftPath: string | undefined },
): Promise<NativeLdlp | undefined> {
  const found = path ?? ldlpBeside(headPath);
  if (found === undefined) return undefined;
  const drafts = headPath ?? draftPath;
  if (drafts === undefined) {
    throw new RangeError(
      `ldlp is ${found}, but nothing drafts for this model; give the head or the draft model that it predicts for`,
    );
  }
  return await openLdlp(found, target, tokens, drafts);
}

/** The configuration with the context that is asked for. */
function limited(trained: ModelConfig, contextLength = trained.contextLength): ModelConfig {
  if (!(Number.isInteger(contextLength) && contextLength >= 2 && contextLength <= trained.contextLength)) {
    throw new RangeError(
      `contextLength is ${contextLength}; give an integer from 2 to ${trained.contextLength}, what the model was trained for`,
    );
  }
  return { ...trained, contextLength };
}
