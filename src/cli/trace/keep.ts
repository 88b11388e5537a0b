/** @file What a command needs that keeps a trace. */

export { checkWritable, writeTrace } from "./file.ts";
export { TraceRecorder } from "./recorder.ts";
