// The picture, what lies over it, and how it is presented.

function address(bytes, type) {
  return bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type })) : "";
}

// An <img> that shows a trait of bytes; the old picture stays until the new is there.
function picture(model, trait, type, name) {
  const img = document.createElement("img");
  img.className = name;
  img.draggable = false;
  let url = "";
  const show = () => {
    URL.revokeObjectURL(url); // also of one that never was shown
    url = address(model.get(trait), type);
    img.hidden = !url;
    if (url) img.src = url;
  };
  model.on(`change:${trait}`, show);
  show();
  const forget = () => {
    model.off(`change:${trait}`, show);
    URL.revokeObjectURL(url);
  };
  return [img, forget];
}

// A screen reader is told what each slider is, and its value as it is written.
function nameSliders(studio) {
  for (const slider of studio.querySelectorAll(".widget-slider, .widget-hslider")) {
    const label = slider.querySelector(".widget-label")?.textContent;
    const value = slider.querySelector(".widget-readout")?.textContent;
    const handle = slider.querySelector(".noUi-handle");
    if (!handle || !label) continue;
    if (handle.getAttribute("aria-label") !== label)
      handle.setAttribute("aria-label", label);
    const told = value || `${Math.round(handle.getAttribute("aria-valuenow"))} %`;
    if (handle.getAttribute("aria-valuetext") !== told)
      handle.setAttribute("aria-valuetext", told);
  }
  for (const empty of studio.querySelectorAll('[title="null"]'))
    empty.removeAttribute("title");
  studio.querySelector(".widget-play button")?.setAttribute("aria-label", "Play");
}

function render({ model, el }) {
  el.classList.add("nst-stage");
  const [result, forgetResult] = picture(model, "picture", "image/jpeg", "nst-result");
  const [other, forgetOther] = picture(model, "other", "image/jpeg", "nst-other");
  const [veil, forgetVeil] = picture(model, "veil", "image/png", "nst-veil");
  veil.alt = other.alt = "";
  const badge = document.createElement("span");
  badge.className = "nst-badge";
  const present = document.createElement("button");
  present.type = "button";
  present.className = "nst-present-button jupyter-button";
  const frame = document.createElement("div");
  frame.className = "nst-frame";
  frame.append(result, other, veil, badge, present);
  el.append(frame);

  const tell = () => {
    result.alt = model.get("alt");
    badge.textContent = model.get("badge");
    badge.hidden = !model.get("badge");
    other.style.clipPath = `inset(0 ${100 - model.get("wipe")}% 0 0)`;
    frame.style.setProperty("--wipe", `${model.get("wipe")}%`);
    frame.style.aspectRatio = model.get("shape") || "3 / 2";
    frame.style.setProperty("--ratio", model.get("shape") || "3 / 2");
    frame.classList.toggle("nst-wiped", !other.hidden && model.get("wipe") > 0);
  };
  const traits = "change:alt change:badge change:wipe change:other change:shape";
  model.on(traits, tell);
  tell();

  // Full screen, by the browser: Esc leaves. Where that is not allowed, the page.
  const studio = () => el.closest(".nst-studio") ?? el;
  const big = () => studio().classList.contains("nst-presenting");
  const set = (on) => {
    studio().classList.toggle("nst-presenting", on);
    present.textContent = on ? "Leave (Esc)" : "Present";
  };
  const toggle = async () => {
    const on = !big();
    set(on);
    try {
      if (on) await studio().requestFullscreen();
      else if (document.fullscreenElement) await document.exitFullscreen();
    } catch { /* not allowed here: the class alone fills the page */ }
  };
  const left = () => document.fullscreenElement || set(false);
  const key = (event) => {
    if (event.key === "Escape" && big()) toggle();
  };
  set(false);
  present.addEventListener("click", toggle);
  document.addEventListener("fullscreenchange", left);
  document.addEventListener("keydown", key);

  // In Colab what a thread has painted comes only when it is asked for.
  const asking = model.get("asks") && setInterval(() => model.send({}), 200);

  const watcher = new MutationObserver(() => nameSliders(studio()));
  const settle = setTimeout(() => {
    nameSliders(studio());
    for (const part of studio().querySelectorAll(".widget-hslider"))
      watcher.observe(part, { childList: true, characterData: true, subtree: true });
    studio().scrollIntoView({ block: "start" });
  }, 600);

  return () => {
    clearTimeout(settle);
    clearInterval(asking);
    watcher.disconnect();
    document.removeEventListener("fullscreenchange", left);
    document.removeEventListener("keydown", key);
    for (const forget of [forgetResult, forgetOther, forgetVeil]) forget();
    model.off(traits, tell);
  };
}

export default { render };
