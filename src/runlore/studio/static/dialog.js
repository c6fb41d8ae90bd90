// A dialog over the page. Escape closes it, and the focus goes back to where it was.

import { html, useLayoutEffect, useRef } from "./vendor/preact@11.2.0/preact.js";
import { asError } from "./api.js";

/** @import { Drawn, On } from "./vendor/preact@11.2.0/preact.js" */

/** @param {{title: string, onClose: () => void, children: Drawn, wide?: boolean}} props */
export function Dialog({ title, onClose, children, wide }) {
  const frame = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const element = frame.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement || before instanceof SVGElement) before.focus();
    };
  }, []);
  return html`
    <dialog
      ref=${frame}
      class=${wide ? "dialog dialog-wide" : "dialog"}
      aria-label=${title}
      onCancel=${(event) => (event.preventDefault(), onClose())}
      onClick=${(event) => event.target === frame.current && onClose()}
    >
      <div class="dialog-content">
        <div class="bar">
          <h2>${title}</h2>
          <span class="grow"></span>
          <button class="quiet" onClick=${onClose} aria-label="Close">✕</button>
        </div>
        ${children}
      </div>
    </dialog>
  `;
}

/**
 * A form in a dialog. `onSubmit` returns a promise: the dialog closes when it has done, and says
 * what is wrong if it fails.
 * @param {{title: string, action: string, onSubmit: (form: FormData) => Promise<unknown>, onClose: () => void,
 *   children: Drawn}} props
 */
export function FormDialog({ title, action, onSubmit, onClose, children }) {
  const problem = useRef(/** @type {HTMLElement | null} */ (null));
  /** @param {On<SubmitEvent, HTMLFormElement>} event */
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
    button.disabled = true;
    try {
      await onSubmit(new FormData(form));
      onClose();
    } catch (error) {
      if (problem.current) problem.current.textContent = asError(error).message; // It may be closed.
    } finally {
      button.disabled = false;
    }
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        ${children}
        <p ref=${problem} class="wrong" role="alert"></p>
        <div class="bar">
          <span class="grow"></span>
          <button type="button" class="quiet" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary">${action}</button>
        </div>
      </form>
    <//>
  `;
}
