// The part of static/vendor/uplot@1.6.32/uplot.js that the pages use.

type Values = readonly (number | null | undefined)[];
type Range = [number | null, number | null];
type Paint = () => string;
type Marks = (plot: uPlot, ticks: number[], axis: number, space: number, step: number) => (string | null)[];

export interface Axis {
  stroke?: Paint;
  grid?: { stroke: Paint; width: number };
  ticks?: { stroke: Paint; width: number };
  size?: number;
  incrs?: number[];
  values?: Marks;
}

export interface Series {
  label?: string;
  stroke?: Paint;
  width?: number;
  dash?: number[];
  spanGaps?: boolean;
  points?: { show?: boolean; size?: number; fill?: Paint; filter?: () => number[] };
  value?: (plot: uPlot, value: number | null) => string;
}

export interface Scale {
  time?: boolean;
  /** 1 for a linear scale, 3 for a logarithmic one. */
  distr?: 1 | 3;
  range?: Range | ((plot: uPlot, low: number, high: number) => Range);
}

export interface Options {
  width: number;
  height: number;
  legend?: { show?: boolean; live?: boolean };
  focus?: { alpha: number };
  cursor?: {
    sync?: { key: string; setSeries: boolean };
    drag?: { x: boolean; y: boolean };
    points?: { size: number };
  };
  scales?: Record<string, Scale>;
  axes?: Axis[];
  series: Series[];
  bands?: { series: [number, number]; fill: Paint }[];
  hooks?: Partial<Record<"setCursor" | "draw" | "setSelect", ((plot: uPlot) => void)[]>>;
}

/** The values of x, then those of each series. */
export type Data = [number[], ...Values[]];

export default class uPlot {
  constructor(options: Options, data: Data, into: HTMLElement);
  static rangeNum(low: number, high: number, room: number, soft: boolean): Range;
  readonly data: Data;
  readonly series: { points: { filter: () => number[] } }[];
  readonly cursor: { idx?: number | null; left: number; top: number };
  readonly select: { left: number; width: number };
  readonly over: HTMLElement;
  readonly ctx: CanvasRenderingContext2D;
  readonly bbox: { left: number; top: number; width: number; height: number };
  valToPos(value: number, scale: string, inCanvas?: boolean): number;
  posToVal(position: number, scale: string): number;
  setCursor(at: { left: number; top: number }): void;
  setSeries(place: number | null, options: { focus: boolean }): void;
  setData(data: Data): void;
  redraw(rebuildPaths?: boolean): void;
  destroy(): void;
}
