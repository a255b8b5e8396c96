// When was what a hand did seen? Loaded into every page before the page's own scripts, told once which page it is.
//
// An image bears a mark that only grows while a handle moves to the right: the number of the last intent that it
// shows, counted here as the page counts it, or simply the slider's value. An image is seen when it is decoded and a
// frame with it was drawn.

window.painted = (() => {
  "use strict";

  let page;            // { image: selector, mark: attribute, counted: whether the mark is a number of events }
  let first = null;    // milliseconds from the start of the navigation until there was an image
  let count = 0;       // events so far, of a page that counts them
  let pressed = null;  // when a key went down whose effect is not there yet
  let events = [], paints = []; // { at: milliseconds, mark }

  const frame = () => new Promise(requestAnimationFrame);
  const afterwards = () => new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(null);
  });

  function image() {
    const found = document.querySelector(page.image);
    return found?.src ? { found, mark: Number(found.closest(`[${page.mark}]`).getAttribute(page.mark)) } : null;
  }

  async function look() {
    const now = image();
    if (!now || paints.at(-1)?.mark === now.mark) return;
    const paint = { at: null, mark: now.mark };
    paints.push(paint);
    await now.found.decode().catch(() => {}); // replaced meanwhile: then the next image is the one to see
    await frame();
    await afterwards();
    paint.at = performance.now();
    first ??= paint.at;
  }

  function moved(at, value) {
    count += 1;
    events.push({ at, mark: page.counted ? count : value });
  }

  window.addEventListener("keydown", (event) => {
    if (event.target.type !== "range") return;
    if (page.counted) moved(performance.now()); // it answers arrow keys itself: no input event will come
    else pressed = performance.now();
  }, true);

  window.addEventListener("input", (event) => {
    if (event.target.type !== "range") return;
    moved(pressed ?? performance.now(), Number(event.target.value));
    pressed = null;
  }, true);

  return {
    of(which) {
      page = which;
      const what = { subtree: true, childList: true, attributes: true, attributeFilter: ["src", page.mark] };
      new MutationObserver(look).observe(document, what);
    },
    begin() {
      count = image().mark;
      events = [];
      paints = [{ at: performance.now(), mark: count }];
    },
    first: () => first,
    done: () => events.length > 0 && paints.at(-1).mark === events.at(-1).mark && paints.at(-1).at !== null,
    found: () => ({ events, paints: paints.filter((paint) => paint.at !== null) }),
  };
})();
