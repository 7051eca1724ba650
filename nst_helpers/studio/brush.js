// The page's half of the brush; brush.py joins it with mask.js to one module.
//
// The mask belongs to the widget: all its views show it and paint it.

const PAUSE = 250; // milliseconds between two masks sent to Python during a stroke
const HISTORY = 100; // masks that one can go back to
const VEIL = 0x8c00ff, COVER = 0.5; // blue, green, red; how much of the photo it hides
const STEP = 4; // pixels of the mask that an arrow key moves the cursor; with Shift: 16
const ARROWS = { Left: [-1, 0], Right: [1, 0], Up: [0, -1], Down: [0, 1] };
const KEYS = { " ": "dab", enter: "dab", e: "swap", "[": "smaller", "]": "larger" };
const PAGE = `
  <div class="nst-brush-tools">
    <span><button name="brush">Brush</button>
    <button name="eraser">Eraser</button></span>
    <label>Size <input name="size" type="range" min="4" max="128" step="4"></label>
    <label>Soft edge <input name="soft" type="range" min="0" max="100" step="5"></label>
    <span><button name="undo">Undo</button><button name="redo">Redo</button></span>
    <span><button name="clear">Clear</button>
    <button name="invert">Invert</button></span>
    <span><label class="nst-brush-file">Load mask<input type="file" accept="image/*">
    </label><button name="save">Save mask</button></span>
  </div>
  <div class="nst-brush-stage"><img alt="" draggable="false"><canvas tabindex="0"
    role="application" aria-label="Paint a region over the photo: drag; or move with
    the arrow keys (Shift: larger steps) and paint with Space or Enter; E is the eraser,
    [ and ] change the size, Ctrl+Z undoes, Ctrl+Shift+Z redoes."></canvas><i></i></div>
  <p role="status"></p>`.replace(/\s+/g, " ");

export default () => {
  let model, width, height, address, timer, sent, told = "", past = [], future = [];
  let mask = new Uint8ClampedArray(); // rounds, and cuts off to 0 ... 255
  let sending = Promise.resolve();
  const tool = { erase: false, size: 40, soft: 20 }, views = new Set(); // draw one each
  const draw = () => views.forEach((view) => view());

  function showPhoto() {
    const [rows, columns] = model.get("shape");
    if (rows !== height || columns !== width) {
      [height, width, past, future] = [rows, columns, [], []];
      mask = new Uint8ClampedArray(width * height);
    }
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("photo")]));
    draw();
  }

  async function showMask() {
    const png = model.get("mask");
    if (png === sent) return; // from here
    const blank = new Uint8ClampedArray(width * height);
    const taken = png.byteLength ? await read(new Blob([png]), width, height) : blank;
    const same = taken.every((value, i) => value === mask[i]);
    if (png === model.get("mask") && !same) change(taken, false);
  }

  function change(next, own = true) {
    remember();
    mask = next;
    own ? send() : draw();
  }

  function remember() {
    past = [...past, mask.slice()].slice(-HISTORY);
    future = [];
  }

  function goBack(from, to) {
    if (!from.length) return;
    to.push(mask);
    mask = from.pop();
    send();
  }

  function send() {
    timer = clearTimeout(timer);
    const now = mask.some(Boolean) ? [mask.slice(), width, height] : null;
    sending = sending.then(async () => {
      sent = new DataView(now ? await encode(...now) : new ArrayBuffer(0));
      model.set("mask", sent);
      model.save_changes();
    });
    told = "";
    draw();
  }

  function paint(from, to) {
    cover(mask, width, height, from, to, tool);
    timer ??= setTimeout(send, PAUSE);
    draw();
  }

  async function load(file) {
    const picture = await read(file, width, height).catch(() => null);
    if (picture) return change(picture);
    told = `${file.name}: no picture that can be read here; choose a PNG or JPEG`;
    draw();
  }

  const resize = (by) => (tool.size = Math.min(128, Math.max(4, tool.size + by)));
  const acts = {
    brush: () => (tool.erase = false),
    eraser: () => (tool.erase = true),
    swap: () => (tool.erase = !tool.erase),
    smaller: () => resize(-4),
    larger: () => resize(4),
    dab: (at) => [remember(), paint(at, at), send()],
    undo: () => goBack(past, future),
    redo: () => goBack(future, past),
    clear: () => change(new Uint8ClampedArray(mask.length)),
    invert: () => change(mask.map((value) => 255 - value)),
    save: async () => {
      const png = new Blob([await encode(mask, width, height)], { type: "image/png" });
      const link = document.createElement("a"), href = URL.createObjectURL(png);
      Object.assign(link, { href, download: "mask.png" }).click();
    },
  };

  function render({ el }) {
    el.innerHTML = PAGE;
    el.classList.add("nst-brush");
    for (const part of el.querySelectorAll("button, input, canvas"))
      part.dataset.lmSuppressShortcuts = ""; // Jupyter's own keys rest there
    const find = (selector) => el.querySelector(selector);
    const canvas = find("canvas"), stage = canvas.parentElement;
    let at = [width / 2, height / 2], pointer; // the cursor; what draws a stroke

    function view() {
      el.hidden = !width;
      if (!width) return;
      if (find("img").src !== address) find("img").src = address;
      const veil = new ImageData(width, height);
      const pixels = new Uint32Array(veil.data.buffer);
      mask.forEach((value, i) => (pixels[i] = ((value * COVER) << 24) | VEIL));
      [canvas.width, canvas.height] = [width, height];
      canvas.getContext("2d").putImageData(veil, 0, 0);
      stage.style = `--ratio: ${width / height}; --x: ${at[0] / width};
        --y: ${at[1] / height}; --across: ${tool.size / width}`;
      stage.classList.toggle("nst-erases", tool.erase);
      find("[name=brush]").ariaPressed = !tool.erase;
      find("[name=eraser]").ariaPressed = tool.erase;
      find("[name=undo]").ariaDisabled = !past.length;
      find("[name=redo]").ariaDisabled = !future.length;
      for (const name of ["size", "soft"]) find(`[name=${name}]`).value = tool[name];
      if (!timer) find("p").textContent = told || describe(mask);
    }

    const locate = ({ clientX, clientY }) => {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [(clientX - box.x) / box.width, (clientY - box.y) / box.height];
      return [x * width, y * height];
    };
    canvas.onpointerdown = (event) => {
      if (event.button || pointer !== undefined) return;
      canvas.setPointerCapture((pointer = event.pointerId));
      remember();
      paint((at = locate(event)), at);
    };
    canvas.onpointermove = (event) => {
      // A page that scrolls below a resting mouse is no move.
      const from = at, moved = event.movementX || event.movementY;
      if (event.pointerId === pointer) paint(from, (at = locate(event)));
      else if (pointer === undefined && moved) [(at = locate(event)), view()];
    };
    canvas.onlostpointercapture = () => [(pointer = undefined), send()];
    el.onkeydown = (event) => {
      const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
      const arrow = ARROWS[event.key.replace("Arrow", "")];
      let act = control && key === "z" && (event.shiftKey ? "redo" : "undo");
      if (event.target === canvas && !control) act = arrow ? "move" : KEYS[key];
      if (!act) return;
      event.preventDefault();
      const step = event.shiftKey ? 4 * STEP : STEP, [dx, dy] = arrow ?? [0, 0];
      const cut = (x, end) => Math.min(end, Math.max(0, x));
      at = [cut(at[0] + step * dx, width), cut(at[1] + step * dy, height)];
      acts[act]?.(at);
      draw();
    };
    el.onclick = ({ target }) => [acts[target.name]?.(), draw()];
    el.oninput = ({ target }) => {
      if (target.files?.length) load(target.files[0]);
      if (target.files) target.value = ""; // so that it may be chosen again
      else [(tool[target.name] = +target.value), draw()];
    };
    views.add(view);
    view();
    return () => views.delete(view);
  }

  async function initialize(widget) {
    model = widget.model;
    showPhoto();
    await showMask();
    past = [];
    for (const name of ["shape", "photo"]) model.on(`change:${name}`, showPhoto);
    model.on("change:mask", showMask);
    model.on("change:refusal", () => [(told = model.get("refusal")), draw()]);
  }

  return { initialize, render };
};
