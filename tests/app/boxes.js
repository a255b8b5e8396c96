// What is wrong with the boxes of the page as it is laid out: a list of sentences, empty where all is well. A scroller
// inside the page may hold more than it shows; nothing else may be cut off, covered, or beside the page.
() => {
  const SLACK = 1, LINES = 3; // pixels; the boxes of two lines of text may touch
  const wrong = new Set();
  const named = (element) => {
    const said = (element.textContent || element.alt || element.ariaLabel || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `${element.tagName.toLowerCase()}${element.id && "#" + element.id}.${element.className} "${said}"`;
  };
  const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && !element.closest(".vh, option, dialog");

  // The part of a box that its ancestors let through; null where a scroller shows nothing of it.
  function shown(element, { left, top, right, bottom }) {
    for (let around = element.parentElement; around && around !== document.body; around = around.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(around);
      const box = around.getBoundingClientRect();
      const scrolls = /auto|scroll/.test(overflowX + overflowY);
      if (overflowX === "visible" && overflowY === "visible") continue;
      if (!scrolls && (left < box.left - SLACK || right > box.right + SLACK || top < box.top - LINES || bottom > box.bottom + LINES))
        wrong.add(`${named(element)} is cut off by ${around.tagName.toLowerCase()}.${around.className}`);
      [left, top] = [Math.max(left, box.left), Math.max(top, box.top)];
      [right, bottom] = [Math.min(right, box.right), Math.min(bottom, box.bottom)];
      if (right - left < 1 || bottom - top < 1) return null;
    }
    return { element, left, top, right, bottom };
  }

  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element || element.closest("script, style, svg") || !seen(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    for (const line of range.getClientRects()) pieces.push(shown(element, line));
  }
  for (const element of document.querySelectorAll("img, input, select, button, a[href], svg text"))
    if (seen(element)) pieces.push(shown(element, element.getBoundingClientRect()));

  const boxes = pieces.filter(Boolean);
  for (const box of boxes)
    if (box.left < -SLACK || box.right > innerWidth + SLACK) wrong.add(`${named(box.element)} is beside the page`);
  boxes.forEach((one, i) => boxes.slice(i + 1).forEach((other) => {
    if (one.element.contains(other.element) || other.element.contains(one.element)) return;
    const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (across > SLACK && down > LINES) wrong.add(`${named(one.element)} overlaps ${named(other.element)}`);
  }));
  const page = document.scrollingElement;
  if (page.scrollWidth > innerWidth) wrong.add(`the page scrolls sideways: ${page.scrollWidth} of ${innerWidth} pixels`);
  return [...wrong];
}
