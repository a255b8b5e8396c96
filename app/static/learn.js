// The Learn screen: its one handle, and the arrow keys from step to step.

(() => {
  "use strict";

  const SAME_GESTURE_MS = 800;
  let gesture = 1e9, last = 0; // numbers of its own, beside those of the rails

  document.addEventListener("input", (event) => {
    if (event.target.id !== "tour-value") return;
    if (performance.now() - last > SAME_GESTURE_MS) gesture += 1;
    last = performance.now();
    event.target.nextElementSibling.textContent = Number(event.target.value).toFixed(event.target.step < 1 ? 2 : 0);
    strata.send({ do: "tour_value", value: Number(event.target.value), gesture });
  });

  document.addEventListener("keydown", (event) => {
    const button = { ArrowLeft: "tour-back", ArrowRight: "tour-next" }[event.key];
    const elsewhere = event.target.matches("input,select,[role=tab]") || document.querySelector("dialog[open]");
    if (!button || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.documentElement.dataset.screen === "learn") document.getElementById(button)?.click();
  });
})();
