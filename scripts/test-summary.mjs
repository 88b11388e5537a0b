/**
 * @file Prints `N passed, N failed` from vitest's JSON report and exits 1 when anything failed or nothing ran. A test
 * file that broke before its tests could start counts as one failure.
 *
 *   node scripts/test-summary.mjs report.json
 */

import { readFileSync } from "node:fs";

const [path] = process.argv.slice(2);
const report = JSON.parse(readFileSync(path, "utf8"));
const broken = report.testResults.filter(
  (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
).length;
const passed = report.numPassedTests;
const failed = report.numFailedTests + broken;
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0 || passed === 0 || !report.success) process.exitCode = 1;
