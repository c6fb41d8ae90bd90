// Which columns of a grid are drawn: those in view and some beside them. No DOM.

const MARGIN = 240;

/**
 * The places of the columns to draw. The first one stays at the left of all others.
 * @param {number[]} widths of all columns @param {number} left how far is scrolled
 * @param {number} width that of the view
 */
export function columnsInView(widths, left, width) {
  /** @type {number[]} */
  const places = [];
  let end = 0;
  widths.forEach((own, place) => {
    const start = end;
    end += own;
    const isNear = end > left + widths[0] - MARGIN && start < left + width + MARGIN;
    if (place === 0 || isNear) places.push(place);
  });
  return places;
}
