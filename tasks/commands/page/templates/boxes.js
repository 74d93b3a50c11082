// Lets a visitor drag a box on each element .frame, a photo, and writes it as a line of the text field #boxes: the
// photo's name and X0,Y0,X1,Y1 in pixels of the upright photo. Gradio sees the field change.
(() => {
  const LEAST_SHARE = 0.03;  // of the photo's side; a smaller box is a click
  let drag = null;

  function write(name, numbers) {
    const field = document.querySelector("#boxes textarea");
    const others = field.value.split("\n").filter((line) => line.trim() && line.slice(0, line.lastIndexOf(" ")) !== name);
    field.value = [...others, ...(numbers ? [name + " " + numbers.join(",")] : [])].join("\n");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function at(frame, event) {
    const place = frame.getBoundingClientRect(), within = (share) => Math.min(1, Math.max(0, share));
    return [within((event.clientX - place.left) / place.width), within((event.clientY - place.top) / place.height)];
  }

  document.addEventListener("pointerdown", (event) => {
    const frame = event.target instanceof Element && event.target.closest(".cutouts .frame");
    if (!frame) return;
    event.preventDefault();
    drag = { frame, from: at(frame, event), box: document.createElement("i") };
    drag.box.className = "box";
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = at(drag.frame, event), [x0, y0] = drag.from;
    drag.frame.querySelectorAll(".box").forEach((old) => old !== drag.box && old.remove());
    drag.frame.append(drag.box);
    const shares = { left: Math.min(x, x0), top: Math.min(y, y0), width: Math.abs(x - x0), height: Math.abs(y - y0) };
    for (const [name, share] of Object.entries(shares)) drag.box.style[name] = 100 * share + "%";
  });
  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { frame, from: [x0, y0] } = drag, [x, y] = at(frame, event);
    drag = null;
    if (Math.abs(x - x0) < LEAST_SHARE || Math.abs(y - y0) < LEAST_SHARE) return;
    const { width, height, name } = frame.dataset;
    write(name, [Math.min(x, x0) * width, Math.min(y, y0) * height, Math.max(x, x0) * width, Math.max(y, y0) * height]
      .map(Math.round));
  });
  document.addEventListener("pointercancel", () => { drag = null; });
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest(".cutouts button.unbox");
    if (button) write(button.closest("figure").querySelector(".frame").dataset.name, null);
  });
})();
