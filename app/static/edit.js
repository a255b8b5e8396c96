// The Edit screen: cells of a level's own grid, painted by a pointer or by keys. Python says what is painted
// (app/edit.py); a stroke is drawn here while it is made, and sent when it ends.

(() => {
  "use strict";

  const board = () => document.getElementById("board");
  let cells = []; // 0 or 1, row by row
  let cursor = 0, stroke = null; // of a stroke: the value that it paints and the cell where it is

  const columns = () => Number(board().dataset.columns);
  const rows = () => cells.length / columns();

  // Whatever Python says is drawn at once, except under a stroke.
  function read() {
    if (!board() || stroke) return;
    cells = [...board().dataset.cells].map(Number);
    cursor = Math.min(cursor, cells.length - 1);
    draw();
  }

  function draw() {
    const canvas = board().querySelector("canvas"), pen = canvas.getContext("2d");
    const wide = canvas.width / columns(), high = canvas.height / rows();
    const style = getComputedStyle(document.documentElement);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = "rgba(107,124,228,.5)";
    cells.forEach((painted, at) => {
      if (painted) pen.fillRect((at % columns()) * wide, Math.floor(at / columns()) * high, wide, high);
    });
    pen.strokeStyle = "rgba(150,160,190,.55)";
    if (wide >= 8) grid(pen, canvas, wide, high);
    if (!board().matches(":focus-visible")) return;
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.lineWidth = 6;
    pen.strokeRect((cursor % columns()) * wide + 3, Math.floor(cursor / columns()) * high + 3, wide - 6, high - 6);
  }

  function grid(pen, canvas, wide, high) {
    pen.lineWidth = 1;
    pen.beginPath();
    for (let x = 1; x < columns(); x += 1) { pen.moveTo(x * wide, 0); pen.lineTo(x * wide, canvas.height); }
    for (let y = 1; y < rows(); y += 1) { pen.moveTo(0, y * high); pen.lineTo(canvas.width, y * high); }
    pen.stroke();
  }

  // One dab of the brush, a square of cells around `at`.
  function dab(at, value) {
    const reach = (Number(board().dataset.brush) - 1) / 2;
    const row = Math.floor(at / columns()), column = at % columns();
    for (let y = Math.max(0, row - reach); y <= Math.min(rows() - 1, row + reach); y += 1)
      for (let x = Math.max(0, column - reach); x <= Math.min(columns() - 1, column + reach); x += 1)
        cells[y * columns() + x] = value;
  }

  // All cells on the way from one to another, so that a quick stroke has no gaps.
  function line(from, to, value) {
    const [x0, y0] = [from % columns(), Math.floor(from / columns())];
    const [x1, y1] = [to % columns(), Math.floor(to / columns())];
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    for (let step = 0; step <= steps; step += 1) {
      const x = Math.round(x0 + ((x1 - x0) * step) / steps), y = Math.round(y0 + ((y1 - y0) * step) / steps);
      dab(y * columns() + x, value);
    }
  }

  function under(event) {
    const box = board().querySelector("canvas").getBoundingClientRect();
    const part = (at, start, size, count) => Math.min(Math.max(Math.floor(((at - start) / size) * count), 0), count - 1);
    return part(event.clientY, box.top, box.height, rows()) * columns()
      + part(event.clientX, box.left, box.width, columns());
  }

  function commit() {
    draw();
    strata.send({ do: "paint", level: Number(board().dataset.cellsOf), cells: cells.join("") });
  }

  const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  // Arrows move the cursor, with shift they paint on the way; space paints a cell or clears it.
  function key(event) {
    const move = MOVES[event.key], before = cursor;
    if (!move && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (move) {
      const row = Math.min(Math.max(Math.floor(cursor / columns()) + move[0], 0), rows() - 1);
      const column = Math.min(Math.max((cursor % columns()) + move[1], 0), columns() - 1);
      cursor = row * columns() + column;
    }
    if (!move) dab(cursor, cells[cursor] ? 0 : 1);
    else if (event.shiftKey) line(before, cursor, 1);
    if (!move || event.shiftKey) commit();
    else draw();
    tell();
  }

  // Where the cursor is, for those who hear it: outside of all regions, which Python would empty again.
  const told = Object.assign(document.createElement("p"), { id: "cell", className: "vh", role: "status" });

  function tell() {
    document.body.append(told);
    told.textContent = `Row ${Math.floor(cursor / columns()) + 1}, column ${(cursor % columns()) + 1}, `
      + (cells[cursor] ? "painted" : "not painted");
  }

  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest?.("#board") || event.button) return;
    board().setPointerCapture(event.pointerId);
    cursor = under(event);
    stroke = { value: cells[cursor] ? 0 : 1, at: cursor };
    dab(cursor, stroke.value);
    draw();
  });
  document.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    cursor = under(event);
    line(stroke.at, cursor, stroke.value);
    stroke.at = cursor;
    draw();
  });
  for (const name of ["pointerup", "pointercancel"])
    document.addEventListener(name, () => {
      if (!stroke) return;
      stroke = null;
      commit();
    });
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "board") key(event);
  }, true);
  for (const name of ["focusin", "focusout"])
    document.addEventListener(name, (event) => { if (event.target.id === "board") draw(); });

  // The slider says its value while it moves, and sends it when it is let go.
  document.addEventListener("input", (event) => {
    if (event.target.id === "cool") event.target.nextElementSibling.value = Number(event.target.value).toFixed(2);
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "cool") strata.send({ do: "edit_tools", temperature: Number(event.target.value) });
  });

  new MutationObserver(read).observe(document, { subtree: true, childList: true, attributeFilter: ["data-cells"] });
})();
