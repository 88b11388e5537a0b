/// <reference lib="esnext.disposable" preserve="true" />
/** @file What users of the library may rely on; everything else may change. `test/exports.test.ts` keeps the list. */

export type { DownloadProgress } from "./checkpoint/download-progress.ts";
export type { DownloadOffer } from "./checkpoint/hub-model.ts";
export { type Datastore, openDatastore } from "./datastore/datastore.ts";
export type { Continuations, RetrievalLimits, RetrievalSource } from "./draft/continuations.ts";
export type { Coupling } from "./draft/coupling.ts";
export type { Candidates, Drafter, Outlook, StepOutcome } from "./draft/drafter.ts";
export type { PenaltyForecast } from "./draft/penalties.ts";
export { type LoadOptions, loadModel } from "./engine/load.ts";
export { EspalierError, type EspalierErrorCode } from "./errors.ts";
export { defaultMethod, methodNames } from "./methods/registry.ts";
export type {
  DrafterStats,
  GenerateEvent,
  GenerateRequest,
  GenerateStats,
  PieceLogProbs,
  SamplingOptions,
  StopReason,
  TextPiece,
  TokenLogProb,
} from "./session/api.ts";
export { Model } from "./session/model.ts";
export { Service, type ServiceLoad, type ServiceOptions } from "./session/service.ts";
export { Session } from "./session/session.ts";
export type { StepReport } from "./session/step-report.ts";
export type { WarmUpOptions } from "./session/warm-up.ts";
export type { Budget, Structure } from "./structure/structure.ts";
export type { PenaltyRule, TokenCounts } from "./target/penalties.ts";
export type { PickRule } from "./target/pick.ts";
export type {
  ChainAhead,
  Pass,
  Penalised,
  PrefillOptions,
  Target,
  TargetSequence,
  Want,
} from "./target/target.ts";
export type { ChatMessage } from "./text/chat-template.ts";
export { DraftTree } from "./tree/draft-tree.ts";
export type { NodeIndex, Position, TokenId } from "./types.ts";
