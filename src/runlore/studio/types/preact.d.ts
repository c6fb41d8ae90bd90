// The part of static/vendor/preact@11.2.0/preact.js that the pages use: preact, its signals, and htm.

/** What a template makes. */
export interface VNode {
  type: unknown;
  props: object;
}

/** All that a component may return, or have as its children. */
export type Drawn = VNode | string | number | boolean | null | undefined | Drawn[];

/** The element that has a handler, as templates need it: a field, or what opens and closes. */
type Handling = HTMLInputElement & { open: boolean };

/** The event that a handler within a template hears: of any kind, at an element of any kind. */
export type Heard = KeyboardEvent & DragEvent & PointerEvent & { currentTarget: Handling; target: Element };

/** An event of a kind at an element of a kind, for handlers outside of templates. */
export type On<E extends Event, T extends Element> = E & { currentTarget: T };

/**
 * What may stand in a hole of a template. A function is a handler, unless it says what it takes:
 * then it is a component, or what a component is given.
 */
type Hole = ((heard: Heard) => unknown) | object | string | number | boolean | null | undefined;

export function html(parts: TemplateStringsArray, ...holes: Hole[]): VNode;
export function h(type: string, props: object | null, ...children: Drawn[]): VNode;
export function render(drawn: Drawn, into: Element): void;

export interface ReadonlySignal<T> {
  readonly value: T;
  subscribe(listener: (value: T) => void): () => void;
}
export interface Signal<T> extends ReadonlySignal<T> {
  value: T;
}
export function signal<T>(value: T): Signal<T>;
export function computed<T>(compute: () => T): ReadonlySignal<T>;
export function effect(run: () => void): () => void;

export type State<T> = [T, (next: T | ((held: T) => T)) => void];
export type Ref<T> = { current: T };
type Effect = () => undefined | void | (() => unknown);

export function useState<T>(first: T | (() => T)): State<T>;
export function useRef<T>(first: T): Ref<T>;
export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
export function useEffect(run: Effect, inputs?: readonly unknown[]): void;
export function useLayoutEffect(run: Effect, inputs?: readonly unknown[]): void;
