/**
 * The shipped abstracts: made-up studies in sentences of our own, so that nothing has to be
 * fetched; 160 to 170 words each. `eval` is about subjects that `train` has none of.
 */
import type { Splits } from "../../data/splits.ts";
import { fillFrames } from "./frames.ts";

const FRAME =
  "Reliable predictions of {subject} matter to planners and to the public alike, and yet they are still made by hand in most places. " +
  "Existing methods need {obstacle}, which few institutions can afford, and their errors grow quickly when conditions change. " +
  "We present {method}, an approach that learns from sparse and noisy records and states how certain it is. " +
  "The central idea is to separate slow trends from sudden events and to treat the two with models of different capacity. " +
  "On {evidence} the approach reduces the mean error by {gain} per cent against the best published baseline while it needs a fraction of the computing time. " +
  "An ablation shows that most of the gain comes from the separation and little from the size of the models. " +
  "We discuss where the approach fails, in particular for rare extremes, and release the code and all measurements so that others can test it in their own region.";

const SLOTS = {
  obstacle: [
    "dense networks of sensors",
    "years of labelled observations",
    "simulations on large clusters",
    "experts who correct every case",
  ],
  method: [
    "a two-level state space model",
    "a small graph neural network",
    "an ensemble of shallow trees",
    "a recurrent filter with shared weights",
    "a Bayesian mixture of linear experts",
  ],
  evidence: [
    "records of forty cities over ten years",
    "three public benchmarks",
    "a field study with two hundred volunteers",
    "data from six independent stations",
  ],
  gain: ["eleven", "eighteen", "twenty-three", "thirty-one"],
};

const TRAIN_SUBJECTS = [
  "urban air quality",
  "river floods",
  "crop yields",
  "traffic jams",
  "hospital admissions",
  "power consumption",
  "forest fires",
  "harbour congestion",
];

const EVAL_SUBJECTS = ["bird migration", "bridge fatigue", "ticket sales", "soil moisture"];

let abstracts: Splits<string> | undefined;

/** 256 abstracts to train with, 64 to evaluate with; made when first asked for. */
export function shippedAbstracts(): Splits<string> {
  return abstracts ??= { train: about(TRAIN_SUBJECTS, 32), eval: about(EVAL_SUBJECTS, 16) };
}

function about(subjects: readonly string[], each: number): string[] {
  return fillFrames(subjects.map((subject) => FRAME.replace("{subject}", subject)), SLOTS, each);
}
