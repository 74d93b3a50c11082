// Turns the views of an element .turntable by dragging, sliders, arrow keys, a click on a small view, or by itself.
(() => {
  const DRAG_PX = 28;  // of the pointer's way for the next view
  const SPIN_MS = 220;
  const within = (event) => event.target instanceof Element && event.target.closest(".turntable");
  const number = (table, axis) => Number(table.querySelector("input." + axis)?.value ?? 0);

  function show(table, column, row) {
    const columns = Number(table.dataset.columns), rows = Number(table.dataset.rows);
    const at = { column: ((column % columns) + columns) % columns, row: Math.min(rows - 1, Math.max(0, row)) };
    for (const axis of ["column", "row"]) {
      const slider = table.querySelector("input." + axis);
      if (slider) slider.value = at[axis];
    }
    for (const image of table.querySelectorAll("img")) {
      const shown = Number(image.dataset.column) === at.column && Number(image.dataset.row) === at.row;
      image.classList.toggle("shown", shown);
      if (shown && image.alt) table.querySelector(".words").textContent = image.alt;
    }
  }

  let drag = null;
  document.addEventListener("input", (event) => {
    const table = within(event);
    if (table) show(table, number(table, "column"), number(table, "row"));
  });
  document.addEventListener("pointerdown", (event) => {
    const table = within(event);
    if (!table || !event.target.closest(".stage")) return;
    drag = { table, x: event.clientX, y: event.clientY, column: number(table, "column"), row: number(table, "row") };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    show(drag.table, drag.column - Math.round((event.clientX - drag.x) / DRAG_PX),
      drag.row + Math.round((event.clientY - drag.y) / DRAG_PX));
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { drag = null; });
  document.addEventListener("keydown", (event) => {
    const table = within(event);
    if (!table || !event.target.closest(".stage")) return;
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!turns) return;
    event.preventDefault();
    show(table, number(table, "column") + turns[0], number(table, "row") + turns[1]);
  });
  document.addEventListener("click", (event) => {
    const table = within(event);
    if (!table) return;
    const small = event.target.closest(".strip img");
    if (small) show(table, Number(small.dataset.column), Number(small.dataset.row));
    const button = event.target.closest("button.spin");
    if (button) button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  });
  setInterval(() => {
    for (const button of document.querySelectorAll(".turntable button.spin[aria-pressed=true]")) {
      const table = button.closest(".turntable");
      if (table.offsetParent) show(table, number(table, "column") + 1, number(table, "row"));
    }
  }, SPIN_MS);
})();
