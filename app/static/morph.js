// The Morph screen: the preview's pictures lie in the strip; scrubbing and playing them asks nobody.

(() => {
  "use strict";

  let at = 0, playing;
  const frames = () => [...document.querySelectorAll("[data-frame]")];
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  function show(frame) {
    const all = frames(), film = document.getElementById("film");
    if (!all.length || !film) return; // strip and player come one after the other
    at = (frame + all.length) % all.length;
    const now = all[at], said = now.dataset.said, input = document.getElementById("filmat");
    const source = now.querySelector("img").src;
    if (film.src !== source) film.src = source;
    film.alt = said;
    input.value = at;
    input.setAttribute("aria-valuetext", said);
    document.getElementById("filmsaid").textContent = said;
    for (const one of all) one.setAttribute("aria-pressed", one === now);
    const strip = now.parentElement;
    strip.scrollLeft = now.offsetLeft - (strip.clientWidth - now.offsetWidth) / 2;
  }

  // Frame by frame in the film's own time; where motion is not wanted, to the next image of the list.
  function play() {
    if (playing) return stop();
    if (still()) return show(frames().findIndex((one, i) => i > at && one.matches(".key")));
    step();
  }

  function step() {
    playing = setTimeout(() => {
      if (!document.getElementById("film")?.offsetParent) return stop();
      show(at + 1);
      step();
    }, Number(frames()[at].dataset.ms));
    label("Pause");
  }

  function stop() {
    clearTimeout(playing);
    playing = undefined;
    label("Play");
  }

  function label(text) {
    const button = document.getElementById("filmplay");
    if (button) button.lastChild.data = text;
  }

  document.addEventListener("input", (event) => {
    if (event.target.id !== "filmat") return;
    stop();
    show(Number(event.target.value));
  });
  document.addEventListener("click", (event) => {
    const frame = event.target.closest("[data-frame]");
    if (frame) {
      stop();
      show(Number(frame.dataset.frame));
    } else if (event.target.closest("#filmplay")) play();
  });

  // A new preview, or the same once more, is shown where the old one was.
  new MutationObserver(() => {
    const all = frames();
    if (all.length && all.every((one) => !one.ariaPressed)) show(Math.min(at, all.length - 1));
    if (playing) label("Pause");
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["src"] });
})();
