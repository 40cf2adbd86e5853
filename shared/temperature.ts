/**
 * Temperatures that sampling takes, one range for configurations, flags, messages and the kernel.
 * Outside it the inverse, which the programs multiply with, leaves float32's useful range.
 */

/** Least and most temperature of sampling that draws. */
export const LEAST_TEMPERATURE = 1e-3;
export const MOST_TEMPERATURE = 1e3;

/** What a temperature has to be, for sentences. */
export const TEMPERATURES =
  `0 (greedy) or a number from ${LEAST_TEMPERATURE} to ${MOST_TEMPERATURE}`;

/** Whether sampling takes this temperature; 0 is greedy. */
export const isTemperature = (value: number): boolean =>
  value === 0 || (value >= LEAST_TEMPERATURE && value <= MOST_TEMPERATURE);
