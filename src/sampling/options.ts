/** @file Sampling options: their defaults, and the check that refuses what makes no sense. */

/** How the target's token is picked out of its row. The steps come in the order of the fields, penalties first. */
export interface SamplingSettings {
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
}

const DEFAULTS: SamplingSettings = {
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
};

/** Fills in defaults. Throws RangeError (TypeError when it is no number at all) naming the option and its value. */
export function samplingSettings(
  options: {
    readonly [name in keyof SamplingSettings]?: number | undefined;
  },
): SamplingSettings {
  const settings = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof SamplingSettings)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== "number") throw new TypeError(`${name} is ${String(value)}; give a number`);
    settings[name] = value;
  }
  const need = (name: keyof SamplingSettings, right: boolean, what: string) => {
    if (!right) throw new RangeError(`${name} is ${settings[name]}; give ${what}`);
  };
  const { temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed } =
    settings;
  need("temperature", temperature >= 0 && temperature <= 100, "a number from 0 (no sampling) to 100");
  need("topK", Number.isInteger(topK) && topK >= 0, "an integer of at least 0 (0 keeps all)");
  need("topP", topP > 0 && topP <= 1, "a number above 0 and up to 1 (1 keeps all)");
  need("minP", minP >= 0 && minP <= 1, "a number from 0 (keeps all) to 1");
  need("repetitionPenalty", repetitionPenalty > 0 && repetitionPenalty < Infinity, "a finite number above 0");
  need("frequencyPenalty", Number.isFinite(frequencyPenalty), "a finite number");
  need("presencePenalty", Number.isFinite(presencePenalty), "a finite number");
  need("seed", Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32, "an integer from 0 to 4294967295");
  return settings;
}

export function hasPenalties(settings: SamplingSettings): boolean {
  return (
    settings.repetitionPenalty !== 1 || settings.frequencyPenalty !== 0 || settings.presencePenalty !== 0
  );
}
