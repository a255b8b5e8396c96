// The page's side of the explorer. Python decides what every region shows; this file puts it on the page without
// replacing what has the focus, and turns clicks, drags and keys into intents (app/intents.py) for Python.
//
// Intents wait in an outbox until an answer with their number comes back, so nothing is lost while a request is
// under way, and of a drag only the last value travels.

window.strata = (() => {
  "use strict";

  const KNOTS = [[0, 0], [0.3, 150], [1.1, 880], [1.5, 1000]]; // temperature, position: as app/temperature.py
  const WAIT_MS = 300; // from here on the page says what is computed
  const REST_MS = 150; // so long must nothing move before strips and effects are asked for
  const RETRY_MS = 2000;
  const SAME_GESTURE_MS = 800;

  let server, lookAtPlot;          // Python's functions, and how to ask for the plot
  let page = "", heard = 0;        // our name there, and the number of its last answer
  let seq = 0, acked = 0;          // the last intent, and the last that the page shows
  let outbox = [];
  let calls = 0, underWay = null;  // calls so far, and the one that is not answered
  let plotted = "";
  let waitTimer, restTimer, retryTimer, hurryTimer;

  // --- intents ------------------------------------------------------------------------------------------------

  function send(intent) {
    seq += 1;
    if (intent.gesture) outbox = outbox.filter((one) => one.gesture !== intent.gesture);
    outbox.push({ ...intent, seq });
    post();
  }

  // One call at a time: what is wanted meanwhile goes along with the next. Only when the hand rests before the answer
  // is there, the next takes its place.
  function post() {
    for (const timer of [waitTimer, restTimer, retryTimer, hurryTimer]) clearTimeout(timer);
    document.documentElement.toggleAttribute("data-settled", false);
    document.documentElement.toggleAttribute("data-busy", true);
    waitTimer = setTimeout(() => document.documentElement.toggleAttribute("data-waiting", true), WAIT_MS);
    if (underWay === "act") hurryTimer = setTimeout(() => call("act"), REST_MS);
    else call("act");
  }

  async function call(what) {
    clearTimeout(restTimer);
    clearTimeout(hurryTimer);
    const mine = (calls += 1);
    underWay = what;
    const link = new URLSearchParams(location.search);
    link.set("theme", document.documentElement.dataset.theme);
    const reply = await server[what]({ page, heard, link: `?${link}`, seq: acked, intents: outbox });
    if (mine !== calls) return; // the newer one brings all that this one would have
    underWay = null;
    if (reply) answered(reply, what);
    else lost();
  }

  function answered(reply, what) {
    const root = document.documentElement;
    document.getElementById("lost").hidden = true;
    [page, heard, acked] = [reply.page, reply.number, reply.seq];
    outbox = outbox.filter((intent) => intent.seq > acked);
    Object.assign(held, reply.regions);
    Object.keys(held).forEach(put);
    if (reply.plot && reply.plot !== plotted) lookAtPlot(page);
    plotted = reply.plot || plotted;
    if (outbox.length || reply.opening) return call("act");
    clearTimeout(waitTimer);
    root.toggleAttribute("data-waiting", false);
    root.toggleAttribute("data-busy", reply.moving && what === "act"); // the link is not yet that of the image
    root.toggleAttribute("data-settled", !reply.more);
    if (reply.more) restTimer = setTimeout(() => call("rest"), what === "act" ? REST_MS : 0);
    const trouble = [...document.querySelectorAll("[data-retry]")].find((one) => one.offsetParent);
    if (trouble) retryTimer = setTimeout(() => send({ do: "retry" }), Number(trouble.dataset.retry) * 1000);
  }

  // No answer at all: the explorer itself is gone, for a while perhaps. What was wanted stays in the outbox.
  function lost() {
    document.getElementById("lost").hidden = false;
    retryTimer = setTimeout(() => call("act"), RETRY_MS);
  }

  function bus(functions, plot) {
    [server, lookAtPlot] = [functions, plot];
    document.body.classList.toggle("dark", document.documentElement.dataset.theme === "dark");
    post();
  }

  // --- regions ------------------------------------------------------------------------------------------------

  const places = {}; // the element of each region
  const held = {};   // HTML that is not on the page yet
  let revealed = null; // the level that the rail has scrolled to

  function region(element, name) {
    places[name] = element;
    if (name in held) put(name);
  }

  // Older than what a hand is doing, it must not move what it holds: the rail, the scrubber, whatever has `data-live`.
  function put(name) {
    const html = held[name];
    if (!places[name] || (acked < seq && html.includes("data-live"))) return;
    delete held[name];
    const fresh = document.createElement("div");
    fresh.innerHTML = `<div data-seq="${acked}">${html}</div>`;
    morph(places[name], fresh);
    applied(places[name]);
  }

  function applied(element) {
    for (const tab of element.querySelectorAll("[role=tab]")) { // Gradio's boxes have no role
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      panel?.setAttribute("role", "tabpanel");
      if (tab.ariaSelected === "true") panel?.setAttribute("aria-labelledby", tab.id);
    }
    const header = element.querySelector("header[data-link]");
    if (header) headed(header);
    const rail = element.querySelector("[data-rail]");
    if (rail) temperatures.set(rail, JSON.parse(rail.dataset.rail));
    if (rail) reveal(rail);
    centre(element.querySelector(".prog [aria-pressed=true]"));
  }

  // In a row that is wider than the page, what is chosen is in its middle.
  function centre(chosen) {
    if (!chosen) return;
    const row = chosen.parentElement, at = chosen.getBoundingClientRect(), box = row.getBoundingClientRect();
    row.scrollLeft += at.left - box.left - (box.width - at.width) / 2;
  }

  // A rail that scrolls shows the level that was selected, once: whoever scrolls on is left alone.
  function reveal(rail) {
    const row = rail.querySelector(".lrow.sel");
    if (!row || row.dataset.level === revealed) return;
    revealed = row.dataset.level;
    const box = rail.getBoundingClientRect(), at = row.getBoundingClientRect();
    const outside = at.top < box.top + 2 * at.height || at.bottom > box.bottom;
    if (outside) rail.scrollTop += at.top - box.top - (box.height - at.height) / 2;
  }

  // The header says which screen this is, and the link to everything on it.
  function headed(header) {
    const changed = document.documentElement.dataset.screen !== header.dataset.screen;
    if (changed) centre(document.querySelector(".tabs [aria-selected=true]"));
    document.documentElement.dataset.screen = header.dataset.screen;
    document.documentElement.dataset.tab = header.dataset.tab;
    if (acked === seq) history.replaceState(history.state, "", `?${header.dataset.link}`);
  }

  // Make `old` like `fresh`, keeping every element that can stay: focus, scrolling and a drag survive.
  function morph(old, fresh) {
    const now = [...old.childNodes], wanted = [...fresh.childNodes];
    wanted.forEach((node, i) => {
      const here = now[i];
      if (!here) old.append(node);
      else if (here.nodeType !== node.nodeType || here.nodeName !== node.nodeName || here.id !== node.id)
        here.replaceWith(node);
      else if (here.nodeType === Node.TEXT_NODE) {
        if (here.data !== node.data) here.data = node.data;
      } else {
        for (const { name } of [...here.attributes]) if (!node.hasAttribute(name)) here.removeAttribute(name);
        for (const { name, value } of node.attributes)
          if (here.getAttribute(name) !== value) here.setAttribute(name, value);
        morph(here, node);
        if (here.matches("input,select") && !here.dataset.typing) here.value = node.value;
      }
    });
    now.slice(wanted.length).forEach((node) => node.remove());
  }

  // --- temperatures -------------------------------------------------------------------------------------------

  const temperatures = new WeakMap(); // of every rail
  let gesture = { id: 0, input: null, start: [], last: 0 };
  let shift = false;

  const between = (x, [x0, y0], [x1, y1]) => y0 + ((x - x0) * (y1 - y0)) / (x1 - x0);
  const piece = (x, axis) => Math.max(1, KNOTS.findIndex((knot) => x <= knot[axis]));
  const toPosition = (t) => Math.round(between(t, KNOTS[piece(t, 0) - 1], KNOTS[piece(t, 0)]));
  const toTemperature = (p) => {
    const i = piece(p, 1);
    return between(p, [...KNOTS[i - 1]].reverse(), [...KNOTS[i]].reverse());
  };
  const tidy = (t) => Math.round(Math.min(Math.max(t, 0), 1.5) * 100) / 100;
  const levelsOf = (input) => JSON.parse(input.dataset.levels);
  const railOf = (input) => input.closest("[data-rail]");
  const valuesOf = (input) => temperatures.get(railOf(input)) ?? [];
  const mean = (input) =>
    levelsOf(input).reduce((sum, level) => sum + valuesOf(input)[level], 0) / levelsOf(input).length;
  const rail = () => document.querySelector("[data-rail]");

  function beginGesture(input, now = performance.now()) {
    const same = gesture.input === input && now - gesture.last < SAME_GESTURE_MS;
    gesture = { id: same ? gesture.id : gesture.id + 1, input, start: [...valuesOf(input)], last: now };
  }

  // Move a handle to temperature `t`; with shift its whole resolution moves by as much.
  function move(input, t) {
    const own = levelsOf(input), values = valuesOf(input), rail = railOf(input).dataset;
    const locks = JSON.parse(rail.locks), groups = JSON.parse(rail.groups);
    const moved = shift ? groups.find((group) => group.includes(own[0])) : own;
    const start = own.reduce((sum, level) => sum + gesture.start[level], 0) / own.length;
    for (const level of moved)
      if (!locks.includes(level)) values[level] = tidy(gesture.start[level] + tidy(t) - start);
    commit(input);
  }

  function reset(input) {
    const rail = railOf(input).dataset, locks = JSON.parse(rail.locks), values = valuesOf(input);
    for (const level of levelsOf(input)) if (!locks.includes(level)) values[level] = Number(rail.default);
    commit(input);
  }

  // One value for the whole rail: by level, or by name where it has names.
  function commit(moved) {
    const rail = railOf(moved), values = valuesOf(moved);
    const names = rail.dataset.names && JSON.parse(rail.dataset.names);
    gesture.last = performance.now();
    for (const input of rail.querySelectorAll("input[data-levels]")) {
      const t = mean(input);
      input.value = toPosition(t);
      input.setAttribute("aria-valuetext", t.toFixed(2));
      input.closest(".lrow").querySelector(".t").textContent = t.toFixed(2);
    }
    send({ do: rail.dataset.do ?? "temperature", gesture: gesture.id,
      values: names ? Object.fromEntries(names.map((name, i) => [name, values[i]])) : values });
  }

  const STEPS = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1,
    Home: -9, End: 9 };

  function railKey(event, input) {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    beginGesture(input);
    move(input, mean(input) + step);
  }

  // --- reconstruction -------------------------------------------------------------------------------------------

  const PLAY_MS = 4000, STEP_MS = 250; // the whole way takes no longer than the first, nor a step than the second
  let playing;

  const scrubber = () => document.getElementById("scrubber");

  function keep(value) {
    const input = scrubber();
    const kept = Math.min(Math.max(value, 0), Number(input.max));
    if (gesture.input !== input || performance.now() - gesture.last > SAME_GESTURE_MS) beginGesture(input);
    gesture.last = performance.now();
    input.value = kept;
    send({ do: "kept", kept, gesture: gesture.id });
  }

  // One level after the other, from the first again at the end; at once where motion is not wanted.
  function play() {
    const input = scrubber(), last = Number(input.max);
    if (playing) return stop();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return keep(last);
    if (Number(input.value) === last) keep(0);
    playing = setInterval(() => {
      const now = scrubber();
      if (now.offsetParent && Number(now.value) < last) keep(Number(now.value) + 1);
      else stop();
    }, Math.min(STEP_MS, PLAY_MS / last));
  }

  function stop() {
    clearInterval(playing);
    playing = undefined;
  }

  const UPLOAD_BYTES = 8 * 2 ** 20, KINDS = ["image/png", "image/jpeg", "image/webp"];

  function upload(file) {
    if (!file) return;
    if (!KINDS.includes(file.type)) return say("Choose a PNG, JPEG or WebP file");
    read(file, (data) => send({ do: "upload", media_type: file.type, data }));
  }

  // Anywhere else than where images are encoded, a PNG that was made here brings its recipe back.
  function restore(file) {
    if (file?.type !== "image/png") return say("Drop a PNG that was made here");
    read(file, (data) => send({ do: "restore", data }));
  }

  function read(file, then) {
    if (file.size > UPLOAD_BYTES) return say("The file is larger than 8 MiB");
    const reader = new FileReader();
    reader.onload = () => then(reader.result.split(",")[1]);
    reader.readAsDataURL(file);
  }

  // --- fields, tabs, shortcuts ----------------------------------------------------------------------------------

  const NUMBERS = {
    seed: (value) => ({ do: "seed", seed: value }),
    images: (value) => ({ do: "images", n: value }),
    "seed-compare": (value) => ({ do: "compare_seed", seed: value }),
    source: (value, input) => ({ ...JSON.parse(input.dataset.source), seed: value }),
  };

  function enter(input) {
    delete input.dataset.typing;
    const typed = input.value.trim(), before = input.getAttribute("value");
    const value = Math.min(Math.max(Number(typed), Number(input.dataset.min)), Number(input.dataset.max));
    if (!/^\d+$/.test(typed)) input.value = before;
    else if (String(value) !== before) {
      input.value = value;
      send(NUMBERS[input.dataset.number](value, input));
    } else input.value = value;
  }

  function choose(select) {
    const which = select.dataset.choose;
    if (which === "model") return send({ do: "model", id: select.value });
    if (which === "compare-with") return send({ do: "compare_with", id: select.value });
    const intent = JSON.parse(select.dataset.source);
    if (select.value === "seed") send({ ...intent, seed: Number(select.dataset.seed) });
    else if (select.value === "explore") send({ ...intent, explore: true });
    else send({ ...intent, example: Number(select.value) });
  }

  function nextTab(event, tab) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = [...tab.parentElement.querySelectorAll("[role=tab]")];
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  }

  const isText = (element) => element.matches("input[type=text],select,textarea,[contenteditable]");

  function shortcut(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const explore = document.documentElement.dataset.screen === "explore";
    const key = event.key.toLowerCase();
    if (key === "z") send({ do: event.shiftKey ? "redo" : "undo" });
    else if (key === "n") send({ do: "new_seed" });
    else if (key === "r" && explore) send({ do: "draw" });
    else if (/^[1-9]$/.test(key) && explore) goToGroup(Number(key) - 1);
    else if ((key === "[" || key === "]") && scrubber()?.offsetParent)
      keep(Number(scrubber().value) + (key === "]" ? 1 : -1));
    else if (event.key === "?") document.getElementById("keys").showModal();
    else return;
    event.preventDefault();
  }

  function goToGroup(index) {
    const group = JSON.parse(rail().dataset.groups)[index];
    if (!group) return;
    send({ do: "level", level: group[0] });
    const first = document.querySelectorAll(".grp")[index].querySelector("input,button");
    first.focus();
  }

  // --- theme, clipboard ---------------------------------------------------------------------------------------

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    document.body?.classList.toggle("dark", name === "dark");
  }

  function switchTheme() {
    const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("strata-theme", name);
    setTheme(name);
    send({ do: "theme", name });
  }

  let saidTimer;
  function say(text) {
    const place = document.getElementById("said");
    place.textContent = text;
    clearTimeout(saidTimer);
    saidTimer = setTimeout(() => { place.textContent = ""; }, 2500);
  }

  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no permission, or no secure context
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say(`${what} copied`);
  }

  // --- events -------------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-intent],[data-copy],[data-copy-link],[data-theme-switch],[data-keys],[data-close],[data-play]");
    if (!target || target.disabled) return;
    if (target.dataset.intent) send(JSON.parse(target.dataset.intent));
    else if (target.dataset.copyLink) copy(location.href, "Link");
    else if (target.dataset.copy) copy(target.dataset.copy, "Text");
    else if (target.dataset.themeSwitch) switchTheme();
    else if (target.dataset.play) play();
    else if (target.dataset.keys) document.getElementById("keys").showModal();
    else target.closest("dialog").close();
  });

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (input.dataset.levels) {
      if (gesture.input !== input) beginGesture(input);
      move(input, toTemperature(Number(input.value)));
    } else if (input.id === "scrubber") {
      stop();
      keep(Number(input.value));
    } else if (input.dataset.number) input.dataset.typing = "1";
  });

  document.addEventListener("change", (event) => {
    if (event.target.dataset.number) enter(event.target);
    else if (event.target.dataset.upload) {
      upload(event.target.files[0]);
      event.target.value = ""; // the same file may be chosen again
    }
    else if (event.target.matches("select")) choose(event.target);
  });

  for (const name of ["dragover", "drop"])
    document.addEventListener(name, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault(); // or else the browser would leave the page for the file
      if (name === "drop") (event.target.closest("#reconstruct,#compare") ? upload : restore)(event.dataTransfer.files[0]);
    });

  for (const name of ["pointerdown", "pointermove", "keyup"])
    document.addEventListener(name, (event) => { shift = event.shiftKey; }, true);
  document.addEventListener("pointerdown", (event) => {
    if (event.target.dataset?.levels) beginGesture(event.target);
  });
  document.addEventListener("dblclick", (event) => {
    if (event.target.dataset.levels && !event.target.disabled) reset(event.target);
  });

  document.addEventListener("keydown", (event) => {
    shift = event.shiftKey;
    const target = event.target;
    if (target.dataset?.levels && event.key in STEPS) railKey(event, target);
    else if (target.matches?.("[role=tab]") && event.key.startsWith("Arrow")) nextTab(event, target);
    else if (!isText(target)) shortcut(event);
  });

  // What the pointer shows on hover, the keyboard shows on focus: the browser shows titles to the pointer alone.
  document.addEventListener("focusin", (event) => {
    const about = event.target.matches(":focus-visible") && event.target.closest("[title]");
    const tip = document.getElementById("tip");
    tip.textContent = about ? about.title : "";
    if (!about) return;
    const box = event.target.getBoundingClientRect(), below = box.bottom + 8 + tip.offsetHeight < innerHeight;
    tip.style.top = `${below ? box.bottom + 8 : Math.max(4, box.top - 8 - tip.offsetHeight)}px`;
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  });
  for (const name of ["focusout", "pointerdown"])
    document.addEventListener(name, () => { document.getElementById("tip").textContent = ""; });

  // The level under the pointer is marked wherever it is shown.
  document.addEventListener("mouseover", (event) => {
    const level = event.target.closest?.("[data-level]")?.dataset.level;
    for (const marked of document.querySelectorAll(".hover")) marked.classList.remove("hover");
    if (level) for (const one of document.querySelectorAll(`[data-level="${level}"]`)) one.classList.add("hover");
  });

  setTheme(new URLSearchParams(location.search).get("theme") || localStorage.getItem("strata-theme")
    || (matchMedia("(prefers-color-scheme:dark)").matches ? "dark" : "light"));
  document.documentElement.lang = "en";
  document.documentElement.dataset.screen = "explore";
  document.documentElement.dataset.tab = "effect";

  return { bus, region, send, say }; // the last two for the scripts of single screens
})();
